/**
 * A tenant that lives in another database than home, which is down: whatever is its own is looked for there and
 * not found at home, while everybody else is served.
 */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { DatabaseConfig } from "../../database/connect.ts";
import { DATABASES, LIVES_IN } from "../../database/database-map.ts";
import { ShardDatabase } from "../../database/shard-database.ts";
import { databaseOf } from "../../database/tenant-database.ts";
import { messageQueueOf } from "../../messages/choice.ts";
import { newId, newRunId, taskId } from "../../protocol/ids.ts";
import { everyMinute } from "../../workers/cron/every-minute.ts";
import type { Environment } from "../../workers/environment.ts";
import { createWorld, type World } from "../support/world.ts";
import { listOperations } from "./answers.ts";

/** They tell what is in a shard's memory, or only compute. */
const WITHOUT_DATA = ["listShards", "readShard", "openSession", "listWorkers", "previewSchedule"];

let world: World;
let other: World;

beforeAll(async () => {
  vi.spyOn(console, "log").mockImplementation(() => {}); // calls fail here on purpose
  world = await createWorld();
  other = await createWorld();
  const definition = { name: "report", events: ["asked"], steps: [{ name: "only" }] };
  // What is left at home of the days before it moved.
  for (const each of [world, other]) await each.register(definition);
  (DATABASES as ((given: DatabaseConfig) => DatabaseConfig)[]).push((given) => ({
    ...given,
    DATABASE_URL: "postgres://somebody:nothing@none.test/x",
  }));
  (LIVES_IN as Map<string, number>).set(world.tenant, 1);
});
afterAll(() => {
  (DATABASES as unknown[]).pop();
  (LIVES_IN as Map<string, number>).delete(world.tenant);
  vi.restoreAllMocks();
});

test("every read of it goes there", async () => {
  const run = newRunId();
  const asked: string[] = [];
  const answered: unknown[] = [];
  for (const { method, path, operation } of await listOperations()) {
    const { operationId = "" } = operation;
    const isOpen = operation.security?.length === 0 || path.startsWith("/admin");
    if (method !== "GET" || isOpen || WITHOUT_DATA.includes(operationId)) continue;
    const query = operationId === "diffVersions" ? "from=1&to=2" : "";
    const filled = path
      .replace("{number}", "1")
      .replaceAll(/\{\w+\}/g, path.startsWith("/tasks/") ? taskId(run, 0) : run);
    const { status } = await world.call("GET", `${filled}?${query}`);
    expect(status, `${operationId} was answered without the tenant's database`).toBeGreaterThan(
      499,
    );
    asked.push(operationId);
  }
  expect(answered).toEqual([]);
  expect(asked.length).toBeGreaterThan(25);
});

test("every kind of change of it goes there", async () => {
  const id = newId();
  const secrets = ["a-secret-of-many-letters"];
  for (const [method, path, body] of [
    ["PUT", "/workflows/report", { name: "report", steps: [{ name: "another" }] }],
    ["PUT", "/workflows/report/pause", { mode: "hold" }],
    ["PUT", "/limits/few", { concurrency: 1 }],
    ["DELETE", "/limits/few", undefined],
    ["PUT", "/webhooks/in", { provider: "github", secrets }],
    ["PUT", "/notifications/out", { url: "https://example.test/" }],
    ["POST", "/filters", { workflow: "report", expression: "true" }],
    ["POST", "/schedules", { workflow: "report", cron: "@hourly" }],
    ["PUT", "/tenant/retention", { days: 3 }],
    ["POST", "/messages/dead/delete", { ids: [id] }],
  ] as const) {
    const { status } = await world.call(method, path, body);
    expect(status, `${method} ${path}`).toBeGreaterThan(499);
  }
  const home = "select jsonb_agg(w.name) as names from v1.workflow w where tenant_id = $1";
  expect(await other.sql(home, [world.tenant])).toEqual([{ names: ["report"] }]);
});

test("its shard, its drain and its queue's messages go there", async () => {
  const shardsDatabase = new ShardDatabase(world.env, world.tenant);
  expect(shardsDatabase.number).toBe(1);
  const asked = shardsDatabase.query("select 1", []);
  await expect(asked).rejects.toThrow();
  expect(new ShardDatabase(world.env, other.tenant).number).toBe(0);
  const nudged: string[] = [];
  const QUEUE_DRAIN = {
    getByName: (name: string) => ({
      nudge: () => Promise.resolve(void nudged.push(name)),
    }),
  };
  for (const { tenant } of [world, other]) {
    const queue = messageQueueOf({ QUEUE_DRAIN }, databaseOf(world.env, tenant));
    await queue.announce([{ queue: "events" }]);
  }
  expect(nudged).toEqual(["events/1", "events/0"]);
});

test("everybody else is served, and the minute sees to the databases that are there", async () => {
  await other.startRun({ workflow: "report" });
  const nudged: string[] = [];
  const note = (name: string): Promise<void> => {
    nudged.push(name);
    return Promise.resolve();
  };
  const namespace = { getByName: (name: string) => ({ nudge: () => note(name) }) };
  const all = { DISPATCHER: namespace, QUEUE_DRAIN: namespace, SCHEDULE_CLOCK: namespace };
  const minute = everyMinute({ ...world.env, ...all } as unknown as Environment);
  await expect(minute).rejects.toThrow();
  expect(nudged).toContain(`${other.tenant}/0`);
});
