/** A shard that takes no new runs: it finishes what it has, closes, and everybody is told. */
import { runInDurableObject } from "cloudflare:test";
import { beforeEach, expect, test } from "vitest";
import { shardOfKey } from "../../protocol/shard-map.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { traffic } from "../support/traffic.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

const SHARDS = 3;
const ALL = { shards: [0, 1, 2] };
/** A customer of each shard, of three. */
const CUSTOMERS = ALL.shards.map((shard) => {
  const names = Array.from({ length: 100 }, (_, n) => `c${n}`);
  return names.find((name) => shardOfKey(`job#1 ${name}`, SHARDS) === shard) ?? "";
});
/** Longer than a shard keeps its connection, and shorter than a worker may be silent. */
const REST_MS = 20_000;

let world: World;
let workers: FakeWorker[];

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
  await world.register({
    name: "job",
    limits: [{ concurrency: 10, key: "input.customer" }],
    steps: [{ name: "only" }, { name: "then", parents: ["only"] }],
  });
  await world.register({ name: "wait", steps: [{ name: "only", waitFor: { event: "go" } }] });
  await set(SHARDS);
  workers = [];
  for (const shard of ALL.shards) {
    workers.push(await world.connectWorker({ actions: ["job:only", "job:then"] }, shard));
  }
});

interface Shards {
  count: number;
  version: number;
  shards: { number: number; state: string }[];
}

async function set(count: number): Promise<Shards> {
  const { status, body } = await world.call<Shards>("PUT", "/tenant/shards", { count });
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

async function shards(): Promise<string[]> {
  const { body } = await world.call<Shards>("GET", "/tenant/shards");
  return body.shards.map(({ number, state }) => `${number} ${state}`);
}

const start = (shard: number) =>
  world.startRun({ workflow: "job", input: { customer: CUSTOMERS[shard] ?? "" } });

const at = (shard: number): FakeWorker => workers[shard] ?? expect.fail("There is no worker");

/** The last that a worker has been told of the shards, as numbers, draining ones below zero. */
async function told(worker: FakeWorker): Promise<number[]> {
  const frames = (await worker.unreadWhenQuiet()).filter((frame) => frame.type === "shards");
  return (frames.at(-1)?.shards ?? []).map(({ number, isDraining }) =>
    isDraining === true ? -number : number,
  );
}

test("finishes its runs, step by step, and closes when it comes to rest", async () => {
  const run = await start(2);
  const task = await at(2).receiveTask({ run: run.id });
  await set(2);
  expect(await shards()).toEqual(["0 active", "1 active", "2 draining"]);
  for (const shard of ALL.shards) expect(await told(at(shard))).toEqual([0, 1, -2]);
  await world.advance(REST_MS, ALL);
  expect(await shards()).toContain("2 draining");
  at(2).complete(task);
  await world.advance(1_000, ALL);
  at(2).complete(await at(2).receiveTask({ run: run.id }));
  await at(2).receive("recorded");
  await world.settled();
  expect(await world.readRun(run.id)).toMatchObject({ state: "completed" });
  expect(await shards()).toContain("2 draining");
  await world.advance(REST_MS, ALL);
  expect(await shards()).toEqual(["0 active", "1 active"]);
  for (const shard of ALL.shards) expect(await told(at(shard))).toEqual([0, 1]);
});

test("takes no new runs, and closes at once when it has none", async () => {
  await set(1);
  await world.advance(REST_MS, ALL);
  expect(await shards()).toEqual(["0 active"]);
  const { id } = await start(2);
  await at(0).receiveTask({ run: id });
  const sessions = await world.call("GET", "/shards");
  expect(sessions.body).toMatchObject({ shards: [{ number: 0 }] });
});

test("sleeps while its runs wait for days, and closes after them", async () => {
  const run = await startWaiting(2);
  await set(2);
  await world.advance(REST_MS, ALL);
  expect(await world.alarmAt(2)).toBeNull();
  await world.advance(5 * 86_400_000, ALL);
  expect(await shards()).toContain("2 draining");
  await at(2).unreadWhenQuiet();
  const waiting = await world.connectWorker({ actions: ["wait:only"] }, 2);
  await world.call("POST", "/events", { key: "go" });
  waiting.complete(await waiting.receiveTask({ run }));
  await waiting.receive("recorded");
  await world.advance(REST_MS, ALL);
  expect(await world.readRun(run)).toMatchObject({ state: "completed" });
  expect(await shards()).toEqual(["0 active", "1 active"]);
});

/** A run that waits for an event, at that shard. */
async function startWaiting(shard: number): Promise<string> {
  for (;;) {
    const { id } = await world.startRun({ workflow: "wait" });
    if (shardOfKey(id, SHARDS) === shard) return id;
    await world.call("POST", `/runs/${id}/cancel`);
  }
}

test("opens again when it is needed again, closed or not", async () => {
  await set(2);
  expect(await set(3)).toMatchObject({ count: 3, shards: [{}, {}, { state: "active" }] });
  await world.advance(REST_MS, ALL);
  await set(2);
  await world.advance(REST_MS, ALL);
  expect(await shards()).toEqual(["0 active", "1 active"]);
  await set(3);
  const worker = await world.connectWorker({ actions: ["job:only"] }, 2);
  const run = await start(2);
  await Promise.any([worker.receiveTask({ run: run.id }), at(2).receiveTask({ run: run.id })]);
});

test("stays open while a handler of a cancelled run has not stopped, and closes once it has", async () => {
  const run = await start(2);
  const { task, attempt } = await at(2).receiveTask({ run: run.id });
  await set(2);
  await world.call("POST", `/runs/${run.id}/cancel`);
  await at(2).receive("cancel");
  await world.advance(20_000, ALL);
  expect(await shards()).toContain("2 draining");
  at(2).say({ type: "released", task, attempt });
  await world.settled();
  await world.advance(REST_MS, ALL);
  expect(await shards()).toEqual(["0 active", "1 active"]);
});

/** A task of the shard that is to drain has taken the unit of an hour. */
async function takeRareUnit(): Promise<void> {
  const limits = [{ rate: [{ units: 1, perMs: 3_600_000 }], key: "input.customer" }];
  await world.register({ name: "rare", limits, steps: [{ name: "only" }] });
  const customer = Array.from({ length: 100 }, (_, n) => `c${n}`).find(
    (name) => shardOfKey(`rare#1 ${name}`, SHARDS) === 2,
  );
  const worker = await world.connectWorker({ actions: ["rare:only"] }, 2);
  const run = await world.startRun({ workflow: "rare", input: { customer: customer ?? "" } });
  worker.complete(await worker.receiveTask({ run: run.id }));
  await worker.receive("recorded");
}

test("says again until when it is held, when it hears nothing of having said so", async () => {
  await takeRareUnit();
  await set(2);
  traffic.loseAnswers(1, { of: "hold_shard" });
  await world.advance(REST_MS, ALL);
  const said = traffic.statements.filter(({ name }) => name.includes("hold_shard"));
  expect(said).toHaveLength(2);
  expect(await busyShards()).toEqual([]);
});

test("sleeps while a rate that it has counted refills, whom nobody reminds of it, and closes then", async () => {
  await takeRareUnit();
  await set(2);
  await world.advance(REST_MS, ALL);
  expect(await busyShards()).toEqual([]);
  await world.evictShard();
  await world.advance(3_600_000 - 2 * REST_MS, ALL);
  expect(await shards()).toContain("2 draining");
  expect(await busyShards()).toEqual([]);
  await world.advance(2 * REST_MS, ALL);
  expect(await shards()).toEqual(["0 active", "1 active"]);
});

/** Those that the clock would call now. */
async function busyShards(): Promise<number[]> {
  const [row] = await world.sql("select v1.busy_shards() as busy");
  const busy = row?.["busy"] as { tenant: string; shard: number }[];
  return busy.filter(({ tenant }) => tenant === world.tenant).map(({ shard }) => shard);
}

/** As the clock does, once a minute. */
async function nudgeBusy(): Promise<void> {
  for (const shard of await busyShards()) await world.shardAt(shard).nudge();
  await world.settled();
}

test("closes after all when its life ended before it could", async () => {
  await set(2);
  await world.settled();
  await world.crashShard(2);
  await runInDurableObject(world.shardAt(2), (_shard, state) => state.storage.deleteAlarm());
  await world.advance(REST_MS, ALL);
  expect(await shards()).toContain("2 draining");
  await nudgeBusy();
  await world.advance(REST_MS, ALL);
  expect(await shards()).toEqual(["0 active", "1 active"]);
});

test("asks again when it hears nothing of having been closed", async () => {
  await set(2);
  await world.settled();
  for (const shard of ALL.shards) await at(shard).unreadWhenQuiet();
  traffic.loseAnswers(2, { of: "close_shard" });
  await world.advance(REST_MS, ALL);
  expect(await shards()).toEqual(["0 active", "1 active"]);
  for (const shard of ALL.shards) expect(await told(at(shard))).toEqual([0, 1]);
  expect(await world.alarmAt(2)).toBeNull();
});

test("that is closed still answers: a late result, a cancellation, a wait", async () => {
  const run = await start(2);
  const task = await at(2).receiveTask({ run: run.id });
  await set(2);
  at(2).complete(task);
  await world.advance(1_000, ALL);
  at(2).complete(await at(2).receiveTask({ run: run.id }));
  await world.advance(REST_MS, ALL);
  expect(await shards()).toEqual(["0 active", "1 active"]);
  at(2).complete(task);
  expect(await at(2).receive("recorded", { task: task.task })).toBeDefined();
  at(2).complete({ ...task, attempt: 7 });
  expect(await at(2).receive("stale", { task: task.task, attempt: 7 })).toBeDefined();
  const cancelled = await world.call("POST", `/runs/${run.id}/cancel`);
  expect(cancelled.body).toMatchObject({ state: "completed", cancelled: false });
  const result = await world.call("GET", `/runs/${run.id}/result?waitMs=1000`);
  expect(result.body).toMatchObject({ state: "completed" });
  await world.advance(REST_MS, ALL);
  expect(await shards()).toEqual(["0 active", "1 active"]);
});

test("a worker that says hello after a change is told of it, whatever it knew", async () => {
  await set(2);
  const late = await world.connectWorker({ actions: ["job:only"] });
  expect(await told(late)).toEqual([0, 1, -2]);
  await world.advance(REST_MS, ALL);
  await world.evictShard();
  const later = await world.connectWorker({ actions: ["job:only"] });
  expect(await told(later)).toEqual([0, 1]);
});
