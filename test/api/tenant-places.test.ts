/**
 * Every way to a tenant's objects leads near its hint and within its jurisdiction. The runtime of these tests
 * has no jurisdictions: namespaces that take notes, and lead to the same objects, stand for the platform's.
 */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { beforeEach, expect, test } from "vitest";
import type { Json } from "../../protocol/json.ts";
import { newId } from "../../protocol/ids.ts";
import { createLogger } from "../../telemetry/log.ts";
import { app } from "../../workers/api/app.ts";
import { everyMinute } from "../../workers/cron/every-minute.ts";
import type { Environment, Namespace } from "../../workers/environment.ts";
import { handlersOf } from "../../workers/messages/handlers.ts";
import { OwnWorker } from "../../workers/notifications/own-worker.ts";
import { tendSchedules } from "../../workers/schedules/tend.ts";
import { rememberPlace } from "../../workers/tenant-objects.ts";
import { createSchedule } from "../support/schedules.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

const PLACE = { jurisdiction: "eu", locationHint: "weur" };

/** What the minute nudges of other tests is left asleep: each would hold a connection of its own. */
const UNHEARD: unknown = { nudge: () => Promise.resolve() };

interface Reached {
  name: string;
  jurisdiction: string | null;
  locationHint: string | null;
}

let world: World;
let reached: Reached[];
let env: Environment;

useVirtualTime();

beforeEach(async () => {
  reached = [];
  world = await createWorld();
  await world.register({ name: "report", events: ["asked"], steps: [{ name: "only" }] });
  env = {
    ...world.env,
    DISPATCHER: noting(world.env.DISPATCHER),
    SCHEDULE_CLOCK: noting(world.env.SCHEDULE_CLOCK),
  };
});

function noting<Stub>(real: Namespace<Stub>, jurisdiction: string | null = null): Namespace<Stub> {
  return {
    getByName: (name, options) => {
      if (!name.startsWith(world.tenant)) return UNHEARD as Stub;
      reached.push({ name, jurisdiction, locationHint: options?.locationHint ?? null });
      return real.getByName(name);
    },
    jurisdiction: (asked) => noting(real, asked),
  };
}

/** From now on the tenant is where `PLACE` says, and this isolate has forgotten where it was. */
async function move(to: Partial<typeof PLACE> = PLACE): Promise<void> {
  const text = "update v1.tenant set jurisdiction = $2, location_hint = $3 where id = $1";
  await world.sql(text, [world.tenant, to.jurisdiction ?? null, to.locationHint ?? null]);
  for (let number = 0; number < 10_000; number++) {
    rememberPlace(`other-${number}`, { jurisdiction: null, locationHint: null });
  }
}

/** Objects of the tenant were called, all of them where it is. */
function expectAllThere(...names: string[]): void {
  const all = (names.length === 0 ? ["/0"] : names).map((name) => world.tenant + name);
  expect(new Set(reached.map(({ name }) => name))).toEqual(new Set(all));
  for (const each of reached) expect(each).toMatchObject(PLACE);
}

async function call(method: string, path: string, body?: Json): Promise<Response> {
  const headers = { authorization: `Bearer ${world.token}`, "content-type": "application/json" };
  const request = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) };
  const response = await app.request(`/api/v1${path}`, request, env);
  expect(response.status, path).toBeLessThan(300);
  return response;
}

test("by requests, the first of a token and the next", async () => {
  await move();
  const { id } = await (await call("POST", "/runs", { workflow: "report" })).json<{ id: string }>();
  await call("POST", "/events", { key: "asked", payload: null });
  await call("GET", "/workers");
  await call("GET", "/shards/0");
  await call("PUT", "/limits/few", { concurrency: 1 });
  await call("GET", "/limits/few");
  await call("POST", `/runs/${id}/cancel`, {});
  expect(reached.length).toBeGreaterThan(6);
  expectAllThere();
});

test("by a worker's session", async () => {
  await move();
  const headers = { upgrade: "websocket", authorization: `Bearer ${world.token}` };
  const response = await app.request("/api/v1/shards/0/session", { headers }, env);
  expect(response.status).toBe(101);
  response.webSocket?.accept();
  response.webSocket?.close();
  expectAllThere();
});

test("by a new schedule, to the clock", async () => {
  await move();
  await call("POST", "/schedules", { workflow: "report", cron: "@hourly" });
  expectAllThere("");
});

test("by the clock's own work", async () => {
  await createSchedule(world, { at: new Date(Date.now() + 1_000).toISOString() });
  await move();
  await world.sql("update v1.schedule set due_at = to_timestamp(0) where tenant_id = $1", [
    world.tenant,
  ]);
  await world.advance(2_000);
  reached.length = 0;
  await tendSchedules(env, world.tenant, createLogger({}, "error"));
  expectAllThere();
});

test("by the minute, for a shard and for a clock", async () => {
  await createSchedule(world, { cron: "@hourly" });
  await world.startRun({ workflow: "report" });
  await world.sql("update v1.schedule set due_at = now() where tenant_id = $1", [world.tenant]);
  await move();
  await everyMinute(env);
  expectAllThere("", "/0");
});

test("by messages, of which only the tenant is known", async () => {
  await move();
  const body = { k: "asked", p: null, m: {} };
  const message = { id: newId(), tenant: world.tenant, kind: "event", body };
  await handlersOf(env)("event")?.(world.tenant, [message as never]);
  expectAllThere();
});

test("by Skein's own worker", async () => {
  await move();
  const context = createExecutionContext();
  const worker = new OwnWorker(context, env);
  const task = { task: newId(), run: newId(), attempt: 1, input: {} };
  worker.execute({ tenant: world.tenant, shard: 0 }, [task as never]);
  await waitOnExecutionContext(context);
  expectAllThere();
});

test("with a hint alone in no jurisdiction, and without either as ever", async () => {
  await move({ locationHint: "oc" });
  await call("GET", "/workers");
  await move({});
  await call("GET", "/workers");
  expect(reached).toEqual([
    { name: `${world.tenant}/0`, jurisdiction: null, locationHint: "oc" },
    { name: `${world.tenant}/0`, jurisdiction: null, locationHint: null },
  ]);
});
