/** Schedules and delays by the SDK: what a workflow declares, what is asked, and what is refused here. */
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { MAX_DELAY_MS } from "../../protocol/limits.ts";
import {
  Client,
  type CronOptions,
  InvalidInputError,
  type StartOptions,
  workflow,
} from "../../sdk/index.ts";
import { FakeShard, task, TOKEN } from "./fake-shard.ts";
import { createWorld } from "./world.ts";

const report = workflow({ name: "report", input: z.object({ to: z.string() }) });

async function createClient(): Promise<{ server: FakeShard; skein: Client }> {
  const server = await FakeShard.start();
  onTestFinished(() => server.stop());
  return { server, skein: new Client({ url: server.url, token: TOKEN, random: () => 0 }) };
}

function declared(crons: CronOptions[]): unknown {
  const made = workflow({ name: "report", crons });
  made.step("only", { run: () => 1 });
  return made.definition().crons;
}

test("a workflow declares its crons as they are written, and none when it has none", () => {
  const cron = { name: "nine", cron: "0 9 * * *", timezone: "Europe/Berlin" };
  const options = { input: { a: 1 }, overlap: "skip", catchUp: "all", catchUpLimit: 3 } as const;
  expect(declared([{ ...cron, ...options, priority: 3, jitter: "5m" }])).toEqual([
    { ...cron, ...options, priority: 3, jitterMs: 300_000 },
  ]);
  expect(declared([])).toBeUndefined();
});

test.each<[string, CronOptions[], RegExp]>([
  ["an expression that is none", [{ cron: " " }], /expression of crons\[0\] of workflow "report"/],
  ["an input that is no JSON", [{ cron: "@daily", input: new Map() }], /crons\[0\].* is not JSON/],
  ["a priority", [{ cron: "@daily", priority: 9 }], /priority of crons\[0\]/],
  ["a limit of nothing", [{ cron: "@daily", catchUpLimit: 0 }], /catchUpLimit .* is 0/],
  ["a jitter beyond an hour", [{ cron: "@daily", jitter: "2h" }], /jitter of crons\[0\]/],
  ["too many", Array.from({ length: 21 }, () => ({ cron: "@daily" })), /has 21 crons/],
])("%s is refused where it is written", (_what, crons, says) => {
  expect(() => declared(crons)).toThrow(says);
});

test("schedules are stored, with a key for each, after the workflow's schema was asked", async () => {
  const { server, skein } = await createClient();
  server.on("POST /schedules", () => ({ body: { id: "s" } }));
  const at = new Date("2027-01-31T09:00:00Z");
  await skein.schedules.create(report, { at, input: { to: "acme" } });
  await skein.schedules.create("other", {
    cron: "0 9 * * *",
    timezone: "UTC",
    name: "nine",
    isEnabled: false,
    jitter: 10,
    idempotencyKey: "own",
  });
  const idempotencyKey = expect.stringMatching(/^[0-9a-f-]{36}$/);
  const once = { at: "2027-01-31T09:00:00.000Z", input: { to: "acme" } };
  const cron = { cron: "0 9 * * *", timezone: "UTC", name: "nine", isEnabled: false };
  expect(server.requestsTo("POST /schedules").map(({ body }) => body)).toEqual([
    { workflow: "report", ...once, idempotencyKey },
    { workflow: "other", ...cron, jitterMs: 10, idempotencyKey: "own" },
  ]);
  const wrong = { at, input: { to: 1 } } as unknown as { at: Date; input: { to: string } };
  await expect(skein.schedules.create(report, wrong)).rejects.toThrow(InvalidInputError);
});

test("many are stored and deleted a thousand a call, in their order", async () => {
  const { server, skein } = await createClient();
  server.on("POST /schedules/bulk", ({ body }) => {
    const { schedules } = body as { schedules: { input: number }[] };
    return { body: { schedules: schedules.map(({ input }) => ({ id: `s-${input}` })) } };
  });
  const at = new Date("2027-01-31T09:00:00Z");
  const asked = Array.from({ length: 1_500 }, (_, input) => ({ at, input }));
  const stored = await skein.schedules.createMany("report", asked);
  const ids = stored.map(({ id }) => id);
  expect(ids).toEqual(asked.map(({ input }) => `s-${input}`));
  expect(server.requestsTo("POST /schedules/bulk")).toHaveLength(2);

  server.on("POST /schedules/delete", ({ body }) => ({ body }));
  expect(await skein.schedules.deleteMany(ids)).toEqual(ids);
  const deleted = server.requestsTo("POST /schedules/delete");
  expect(deleted.map(({ body }) => (body as { ids: string[] }).ids.length)).toEqual([1_000, 500]);
});

test("one is read, listed, changed, enabled, disabled, deleted, triggered and tried out", async () => {
  const { server, skein } = await createClient();
  for (const asked of [
    "GET /schedules/a%20b",
    "PATCH /schedules/a%20b",
    "DELETE /schedules/a%20b",
  ]) {
    server.on(asked, () => ({ body: { id: "a b" } }));
  }
  server.on("GET /schedules", () => ({ body: { items: [], nextCursor: null } }));
  server.on("POST /schedules/a%20b/trigger", () => ({ body: { id: "run-1", created: true } }));
  server.on("POST /schedules/preview", () => ({ body: { ticks: [] } }));
  expect(await skein.schedules.get("a b")).toEqual({ id: "a b" });
  await skein.schedules.list({ workflow: "report", kind: "once", limit: 3 });
  const [heard] = server.requestsTo("GET /schedules");
  expect(heard?.query.toString()).toBe("workflow=report&kind=once&limit=3");
  const at = new Date("2027-02-01T09:00:00Z");
  await skein.schedules.update("a b", { at, name: null, priority: null, jitter: "1s" });
  await skein.schedules.enable("a b");
  await skein.schedules.disable("a b");
  expect(server.requestsTo("PATCH /schedules/a%20b").map(({ body }) => body)).toEqual([
    { at: "2027-02-01T09:00:00.000Z", name: null, priority: null, jitterMs: 1_000 },
    { isEnabled: true },
    { isEnabled: false },
  ]);
  await skein.schedules.delete("a b");
  expect(await skein.schedules.trigger("a b", { idempotencyKey: "now" })).toMatchObject({
    id: "run-1",
  });
  await skein.schedules.preview({ cron: "@daily", after: at, count: 2 });
  expect(server.requestsTo("POST /schedules/preview")[0]?.body).toEqual({
    cron: "@daily",
    after: "2027-02-01T09:00:00.000Z",
    count: 2,
  });
});

test("a handler knows its schedule and its tick", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  const tick = Date.UTC(2027, 0, 31, 9);
  session.send(task({ schedule: { id: "s", tick } }));
  const { ctx } = await calls.next("a call");
  expect([ctx.scheduleId, ctx.scheduledFor]).toEqual(["s", new Date(tick)]);
  session.send(task({ task: "task-2", schedule: { id: "s", tick: null } }));
  session.send(task({ task: "task-3" }));
  const triggered = (await calls.next("a second call")).ctx;
  const plain = (await calls.next("a third call")).ctx;
  expect([triggered.scheduleId, triggered.scheduledFor]).toEqual(["s", null]);
  expect([plain.scheduleId, plain.scheduledFor]).toEqual([null, null]);
});

test("a start says its delay, as milliseconds or as a moment", async () => {
  const { server, skein } = await createClient();
  const startAt = new Date(Date.now() + 60_000);
  server.on("POST /runs", () => ({ body: { id: "run-1", created: true } }));
  await skein.start(report, { to: "a" }, { delay: "5m" });
  await skein.start(report, { to: "a" }, { startAt });
  expect(server.requestsTo("POST /runs").map(({ body }) => body)).toMatchObject([
    { delayMs: 300_000 },
    { startAt: startAt.toISOString() },
  ]);
  server.on("POST /runs/bulk", () => ({ body: { runs: [] } }));
  await skein.startMany(report, [{ input: { to: "a" }, delay: 5 }, { input: { to: "b" } }]);
  const [bulk] = server.requestsTo("POST /runs/bulk");
  expect(bulk?.body).toMatchObject({ runs: [{ delayMs: 5 }, { input: { to: "b" } }] });
  expect(JSON.stringify(bulk?.body).match(/delayMs/g)).toHaveLength(1);
});

test.each<[StartOptions, RegExp]>([
  [{ delay: MAX_DELAY_MS + 1 }, /delay of a run of workflow "report"/],
  [{ delay: "1x" as "1s" }, /delay of a run/],
  [{ startAt: new Date(Date.now() + 2 * MAX_DELAY_MS) }, /client\.schedules\.create/],
  [{ startAt: new Date("never") }, /is no date/],
  [{ delay: 1, startAt: new Date() }, /has delay and startAt/],
])("a delay of %j is refused before anything is sent", async (options, says) => {
  const { server, skein } = await createClient();
  await expect(skein.start(report, { to: "a" }, options)).rejects.toThrow(says);
  expect(server.requestsTo("POST /runs")).toEqual([]);
});

test("a child says its delay to the shard, also when it is asked for again", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task());
  const { ctx } = await calls.next("a call");
  const startAt = new Date(Date.now() + 60_000);
  const spawned = ctx.spawnMany(report, [
    { input: { to: "a" }, delay: "10s" },
    { input: { to: "b" }, startAt },
  ]);
  expect(await session.grantSpawn()).toMatchObject([
    { key: "report:1", delayMs: 10_000 },
    { key: "report:2", startAt: startAt.getTime() },
  ]);
  await spawned;
});
