/** A result that comes to another shard than the one that has handed its task out is that one's (rule R13). */
import { beforeEach, expect, test } from "vitest";
import type { TaskFrame } from "../../protocol/session.ts";
import { shardOfKey } from "../../protocol/shard-map.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

const BOTH = { shards: [0, 1] };
const ACTIONS = ["job:only"];

let world: World;
/** The same worker at either shard; its tasks are the second's. */
let here: FakeWorker;
let there: FakeWorker;
let task: TaskFrame;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
  await world.register({ name: "job", steps: [{ name: "only", retries: 1 }] });
  await world.call("PUT", "/tenant/shards", { count: 2 });
  here = await world.connectWorker({ actions: [] });
  there = await world.connectWorker({ actions: ACTIONS }, 1);
  await start();
  task = await there.receiveTask();
});

/** A run at the second shard. */
async function start(): Promise<string> {
  for (;;) {
    const { id } = await world.startRun({ workflow: "job" });
    if (shardOfKey(id, 2) === 1) return id;
    await world.call("POST", `/runs/${id}/cancel`);
  }
}

const state = async (): Promise<string> => (await world.readRun(task.run)).state;

test("a result is the owner's, wherever it comes; a repeat is recorded as well", async () => {
  here.complete(task, "done");
  await here.receive("recorded", { task: task.task, attempt: 1 });
  expect((await world.readRun(task.run)).tasks[0]).toMatchObject({ output: "done" });
  here.complete(task, "again");
  await here.receive("recorded");
  there.complete(task, "again");
  await there.receive("recorded");
  expect((await world.readRun(task.run)).tasks[0]).toMatchObject({ output: "done" });
});

test("its slot is free at the owner: the next task comes there", async () => {
  const single = await world.connectWorker({ actions: ACTIONS, slots: 1, worker: "single" }, 1);
  there.say({ type: "pause" });
  await world.settled();
  await start();
  const first = await single.receiveTask();
  await start();
  expect(await single.unreadWhenQuiet()).toMatchObject([{ type: "shards" }]);
  const elsewhere = await world.connectWorker({ actions: [], worker: "single" });
  elsewhere.complete(first);
  await elsewhere.receive("recorded");
  await single.receiveTask();
});

test("a failed attempt is tried again, and one that met a rate limit later", async () => {
  here.fail(task, "no luck");
  await here.receive("recorded");
  await world.advance(5_000, BOTH);
  const again = await there.receiveTask({ attempt: 2 });
  const times = { startedAt: Date.now(), finishedAt: Date.now() };
  const { task: id, attempt, shard } = again;
  here.say({ type: "rate_limited", task: id, attempt, shard, retryAfterMs: 1_000, ...times });
  await here.receive("recorded");
  await world.advance(2_000, BOTH);
  here.complete(await there.receiveTask({ attempt: 3 }));
  await here.receive("recorded");
  expect(await state()).toBe("completed");
});

test("an attempt that is over is stale, one that never was is gone", async () => {
  here.complete({ ...task, attempt: 9 });
  await here.receive("stale", { attempt: 9 });
  const never = `${task.task.slice(0, 9)}0000${task.task.slice(13)}`;
  here.complete({ ...task, task: never });
  await here.receive("gone", { task: never });
  here.complete({ ...task, shard: 60 }); // there is none: it knows as much as any
  await here.receive("stale");
  here.complete({ ...task, shard: 60_000 });
  await here.receive("stale");
  expect(await state()).toBe("queued");
  expect((await world.call("GET", "/tenant/shards")).body).toMatchObject({
    shards: [{ state: "active" }, { state: "active" }],
  });
});

test("a worker can't end what another one was given", async () => {
  const other = await world.connectWorker({ actions: [], worker: "another" });
  other.complete(task, "forged");
  await other.receive("stale");
  expect(await state()).toBe("queued");
  here.complete(task);
  await here.receive("recorded");
});

test("another tenant's attempts are not there", async () => {
  const others = await createWorld();
  await others.call("PUT", "/tenant/shards", { count: 2 });
  const stranger = await others.connectWorker({ actions: [] });
  stranger.complete(task, "forged");
  await stranger.receive("gone");
  expect(await state()).toBe("queued");
});

test("it is answered once the owner's commit has landed, and not before", async () => {
  const held = await world.holdLock("select pg_advisory_lock(v1.shard_lock($1, 1))", [
    world.tenant,
  ]);
  here.complete(task);
  await expect.poll(() => held.countWaiting()).toBe(1);
  expect(here.unread.filter(({ type }) => type === "recorded")).toEqual([]);
  await held.release();
  await here.receive("recorded");
  expect(await state()).toBe("completed");
});

test("while the owner can't say, nothing is answered, and the worker is to come back", async () => {
  const held = await world.holdLock("select pg_advisory_lock(v1.shard_lock($1, 1))", [
    world.tenant,
  ]);
  here.complete(task);
  await expect.poll(() => held.countWaiting()).toBe(1);
  await world.advance(25_000, { ...BOTH, isStuck: true });
  expect(await here.closed).toMatchObject({ code: 1013 });
  expect(here.unread.filter(({ type }) => type === "recorded")).toEqual([]);
  await held.release();
  await world.advance(10_000, BOTH);
  const back = await world.connectWorker({ actions: [], session: here.welcome?.session ?? "" });
  back.complete(task);
  await back.receive("recorded");
  await world.advance(60_000, BOTH);
  expect(await state()).toBe("completed");
});

test("an owner that has just died answers from its next life", async () => {
  await world.settled();
  await world.crashShard(1);
  here.complete(task, "done");
  await here.receive("recorded");
  expect((await world.readRun(task.run)).tasks[0]).toMatchObject({ output: "done" });
});
