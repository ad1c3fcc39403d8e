/** A shard that is to take runs: it is opened first, and takes them once it and its workers are ready. */
import { beforeEach, expect, test } from "vitest";
import { OPENING_LIMIT_MS } from "../../durable-objects/dispatcher/limits.ts";
import { setShards } from "../../database/shards.ts";
import { queryOverHttp } from "../../database/connect.ts";
import { databaseOf } from "../../database/tenant-database.ts";
import type { ShardMap } from "../../protocol/shard-map.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { traffic } from "../support/traffic.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

const BOTH = { shards: [0, 1] };
const REST_MS = 20_000;
const ACTIONS = { actions: ["job:only"] };

interface Shards {
  count: number;
  version: number;
  shards: { number: number; state: string }[];
}

let world: World;
let worker: FakeWorker;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
  await world.register({ name: "job", steps: [{ name: "only" }] });
  worker = await world.connectWorker(ACTIONS);
});

/** Asks for two shards; resolves when the worker has been told that there is another. */
async function ask(): Promise<{ answer: Promise<Shards>; isAnswered: () => boolean }> {
  let isAnswered = false;
  const answer = world.call<Shards>("PUT", "/tenant/shards", { count: 2 }).then((answered) => {
    isAnswered = true;
    expect(answered.status, JSON.stringify(answered.body)).toBe(200);
    return answered.body;
  });
  await told(worker);
  return { answer, isAnswered: () => isAnswered };
}

/** The next that a worker is told of the shards, as numbers, draining ones below zero. */
async function told(by: FakeWorker): Promise<number[]> {
  const { shards } = await by.receive("shards");
  return shards.map(({ number, isDraining }) => (isDraining === true ? -number : number));
}

async function shards(): Promise<string[]> {
  const { body } = await world.call<Shards>("GET", "/tenant/shards");
  return body.shards.map(({ number, state }) => `${number} ${state}`);
}

/** Until somebody waits for the second shard: nothing else has set its alarm so close. */
async function untilWaitedFor(): Promise<void> {
  await expect
    .poll(async () => ((await world.alarmAt(1)) ?? Infinity) <= Date.now() + OPENING_LIMIT_MS)
    .toBe(true);
  await world.settled();
}

test("takes no runs before its workers are there, and then at once", async () => {
  const { answer, isAnswered } = await ask();
  await untilWaitedFor();
  expect(isAnswered()).toBe(false);
  expect(await shards()).toEqual(["0 active", "1 draining"]);
  for (let n = 0; n < 5; n++) {
    const { id } = await world.startRun({ workflow: "job" });
    await worker.receiveTask({ run: id });
  }
  const second = await world.connectWorker(ACTIONS, 1);
  expect(await answer).toMatchObject({ count: 2, shards: [{}, { state: "active" }] });
  expect(await told(second)).toEqual([0, -1]);
  expect(await told(second)).toEqual([0, 1]);
  expect(await told(worker)).toEqual([0, 1]);
});

test("has recovered and committed by then: its first run waits for one commit, and for no connection", async () => {
  const { answer } = await ask();
  await untilWaitedFor();
  const second = await world.connectWorker(ACTIONS, 1);
  await answer;
  const isOfSecond = ({ shard }: { shard: number }): boolean => shard === 1;
  const [first, ...others] = traffic.commitsOf(world.tenant).filter(isOfSecond);
  expect(first).toMatchObject({ starts: [], results: [] });
  expect(others).toEqual([]);
  const { connections } = traffic;
  const { id } = await Promise.race([
    runAt(1),
    second.receiveTask().then(({ run: id }) => ({ id })),
  ]);
  expect(await world.readRun(id)).toBeDefined();
  expect(traffic.connections).toBe(connections);
});

/** Starts runs until one is dispatched by that shard. */
async function runAt(shard: number): Promise<{ id: string }> {
  for (;;) {
    const { id } = await world.startRun({ workflow: "job" });
    const [row] = await world.sql("select shard from v1.workflow_run where id = $1", [id]);
    if (row?.["shard"] === shard) return { id };
  }
}

test("is not waited for longer than its limit, should a worker never come", async () => {
  const { answer } = await ask();
  await untilWaitedFor();
  await world.advance(OPENING_LIMIT_MS, BOTH);
  expect(await answer).toMatchObject({ count: 2 });
  const late = await world.connectWorker(ACTIONS, 1);
  const { id } = await runAt(1);
  await late.receiveTask({ run: id });
});

test("does not wait for a worker that leaves, has gone, or is silent", async () => {
  const leaving = await world.connectWorker(ACTIONS);
  leaving.say({ type: "drain" });
  const gone = await world.connectWorker(ACTIONS);
  gone.vanish();
  const silent = await world.connectWorker({ ...ACTIONS, heartbeatLimitMs: 3_000 });
  await world.advance(5_000);
  expect(silent).toBeDefined();
  const { answer } = await ask();
  await world.connectWorker(ACTIONS, 1);
  expect(await answer).toMatchObject({ count: 2 });
});

test("that nobody is at is not waited for at all", async () => {
  const empty = await createWorld();
  const { body } = await empty.call<Shards>("PUT", "/tenant/shards", { count: 3 });
  expect(body).toMatchObject({ count: 3, version: 3 });
});

test("that is opened and never gets to take runs closes by itself, costs nothing, and can be opened again", async () => {
  const map = await openOnly();
  const ready = world.shardAt(1).open(map, 1);
  expect(await told(worker)).toEqual([0, -1]);
  const second = await world.connectWorker(ACTIONS, 1);
  expect(await ready).toBe(true);
  await world.advance(REST_MS, BOTH);
  expect(await shards()).toEqual(["0 active"]);
  expect(await told(worker)).toEqual([0]);
  expect((await second.unreadWhenQuiet()).at(-1)).toMatchObject({
    type: "shards",
    shards: [{ number: 0 }],
  });
  second.vanish();
  await world.advance(5 * 60_000, BOTH);
  for (const shard of BOTH.shards) expect(await world.alarmAt(shard)).toBeNull();
  expect(traffic.connections).toBe(0);

  const { answer } = await ask();
  await world.connectWorker(ACTIONS, 1);
  expect(await answer).toMatchObject({ count: 2 });
});

/** The first half of a change, by somebody who is gone then. */
async function openOnly(): Promise<ShardMap> {
  const [row] = await world.sql("select v1.open_shards($1, 2) as map", [world.tenant]);
  const map = row?.["map"] as ShardMap;
  await world.shard.heedShards(map);
  return map;
}

test("leaves the limits of one that was alone open, before it knows anything itself", async () => {
  await world.register({ name: "one", limits: [{ concurrency: 1 }], steps: [{ name: "only" }] });
  const limited = await world.connectWorker({ actions: ["one:only"] });
  await world.settled(); // it has recovered, and knows that it is alone
  const lock = await world.holdLock("select pg_advisory_lock(v1.shard_lock($1, 1))", [
    world.tenant,
  ]);
  const map = await openOnly();
  const ready = world.shardAt(1).open(map, 0);
  const { id } = await world.startRun({ workflow: "one" });
  await limited.receiveTask({ run: id });
  await lock.release();
  expect(await ready).toBe(true);
});

test("that was opened and never told so is reminded by the clock, and closes", async () => {
  await world.sql("select v1.open_shards($1, 2)", [world.tenant]);
  const [row] = await world.sql("select v1.busy_shards() as busy");
  const busy = (row?.["busy"] ?? []) as { tenant: string; shard: number }[];
  expect(busy.filter(({ tenant }) => tenant === world.tenant)).toEqual([
    { tenant: world.tenant, shard: 1 },
  ]);
  await world.shardAt(1).nudge();
  await world.advance(REST_MS, BOTH);
  expect(await shards()).toEqual(["0 active"]);
});

/** It closes while it is waited for, as it would by itself had it nothing to do for longer; and the wait ends. */
async function closeMeanwhile(): Promise<void> {
  await untilWaitedFor();
  const close = "update v1.shard set closed_at = now() where tenant_id = $1 and number = 1";
  await world.sql(close, [world.tenant]);
  await world.advance(OPENING_LIMIT_MS, BOTH);
}

test("that closes before it is to take runs is opened once more", async () => {
  const { answer, isAnswered } = await ask();
  await closeMeanwhile();
  expect(await told(worker)).toEqual([0, -1]);
  expect(isAnswered()).toBe(false);
  const second = await world.connectWorker(ACTIONS, 1);
  expect(await answer).toMatchObject({ count: 2, shards: [{}, { state: "active" }] });
  const { id } = await runAt(1);
  await second.receiveTask({ run: id });
});

test("that closes again and again takes no runs, and whoever asked for it is told", async () => {
  const asked = world.call("PUT", "/tenant/shards", { count: 2 });
  for (let tries = 0; tries < 3; tries++) {
    expect(await told(worker)).toEqual([0, -1]);
    await closeMeanwhile();
  }
  const { status, headers, body } = await asked;
  expect([status, headers.get("retry-after")]).toEqual([503, "2"]);
  expect(body).toMatchObject({ code: "overloaded" });
  expect(await shards()).toEqual(["0 active"]);
});

test("is opened once for several who ask at once, and the last to be answered has the number", async () => {
  const { answer } = await ask();
  const other = world.call<Shards>("PUT", "/tenant/shards", { count: 2 });
  const fewer = world.call<Shards>("PUT", "/tenant/shards", { count: 1 });
  expect((await fewer).body).toMatchObject({ count: 1, shards: [{}, { state: "draining" }] });
  await untilWaitedFor();
  await world.connectWorker(ACTIONS, 1);
  expect(await answer).toMatchObject({ count: 2 });
  expect((await other).body).toMatchObject({ count: 2 });
  const query = queryOverHttp(databaseOf(world.env, world.tenant));
  expect(await setShards(query, world.tenant, 2)).toMatchObject({ version: 3, since: 3 });
});
