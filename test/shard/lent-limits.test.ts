/** A limit that one shard counts, and that bounds runs at two: exact, and what nobody uses comes back. */
import { expect, test } from "vitest";
import {
  LEASE_SLACK_MS,
  LOAN_MARGIN_MS,
  UNSPENT_MS,
} from "../../durable-objects/dispatcher/limits.ts";
import type { LimitState } from "../../protocol/limit-bodies.ts";
import type { TaskFrame } from "../../protocol/session.ts";
import { BOTH, OTHER, OWNER, TwoShards } from "../support/two-shards.ts";
import { useVirtualTime } from "../support/world.ts";

useVirtualTime();

const EACH = [OTHER, OWNER, OTHER, OWNER, OTHER, OTHER, OWNER, OTHER];

async function startAll(shards: TwoShards, where: number[]): Promise<string[]> {
  const runs: string[] = [];
  for (const shard of where) runs.push(await shards.start(shard));
  return runs;
}

const runsOf = (tasks: TaskFrame[]): string[] => tasks.map(({ run }) => run).toSorted();

async function keysOf({ world }: TwoShards): Promise<LimitState["keys"]> {
  return (await world.call<LimitState>("GET", "/limits/llm")).body.keys;
}

test("of both shards' runs no more are at work than the limit allows, and no fewer", async () => {
  const shards = await TwoShards.begin({ concurrency: 3 });
  const runs = await startAll(shards, EACH);
  const working = await shards.begun();
  const ended: string[] = [];
  while (ended.length < runs.length) {
    expect(working).toHaveLength(Math.min(3, runs.length - ended.length));
    const task = working.shift() ?? expect.fail("nothing is at work");
    shards.complete(task);
    ended.push(task.run);
    working.push(...(await shards.begun()));
  }
  expect(ended.toSorted()).toEqual(runs.toSorted());
  await shards.world.advance(UNSPENT_MS + LOAN_MARGIN_MS, BOTH);
  expect(await keysOf(shards)).toEqual([]);
});

test("a permit goes from one shard to the other as soon as it is let go of", async () => {
  const shards = await TwoShards.begin({ concurrency: 1 });
  let held = await shards.startHeld(OTHER);
  for (const shard of [OWNER, OTHER, OWNER]) {
    const run = await shards.start(shard);
    expect(await shards.begun()).toEqual([]);
    shards.complete(held);
    held = await shards.received(shard, run);
  }
});

test("a permit for a task that finds no worker is another shard's within moments", async () => {
  const shards = await TwoShards.begin({ concurrency: 1 });
  shards.at(OTHER).say({ type: "pause" });
  const waiting = await shards.start(OTHER);
  const run = await shards.start(OWNER);
  const [task, ...others] = await shards.begun(2 * UNSPENT_MS);
  expect(task?.run).toBe(run);
  expect(others).toEqual([]);
  shards.at(OTHER).say({ type: "resume" });
  expect(await shards.begun()).toEqual([]);
  if (task) shards.complete(task);
  await shards.received(OTHER, waiting);
});

test("a run that is cancelled gives back what its shard has borrowed for it", async () => {
  const shards = await TwoShards.begin({ concurrency: 1 }, { isOfRun: true });
  const held = await shards.startHeld(OTHER);
  const run = await shards.start(OWNER);
  await shards.world.call("POST", `/runs/${held.run}/cancel`);
  expect(await shards.begun()).toEqual([]); // its handler has not let go yet
  shards.at(OTHER).release(held);
  await shards.received(OWNER, run);
});

test("a raised limit lends at once, and a lowered one no more than is left", async () => {
  const shards = await TwoShards.begin({ concurrency: 1 });
  const runs = await startAll(shards, [OTHER, OTHER, OTHER]);
  const working = await shards.begun();
  expect(working).toHaveLength(1);
  await shards.world.call("PUT", "/limits/llm", { concurrency: 3 });
  working.push(...(await shards.begun()));
  expect(working).toHaveLength(3);
  await shards.world.call("PUT", "/limits/llm", { concurrency: 1 });
  await shards.world.settled();
  for (const task of working.slice(0, 2)) {
    shards.complete(task);
    await shards.at(OTHER).receive("recorded");
    runs.push(await shards.start(OTHER)); // what is free there is free no more
    expect(await shards.begun(0)).toEqual([]);
  }
  expect(await shards.begun()).toEqual([]);
  for (const task of working.slice(2)) shards.complete(task);
  working.push(...(await shards.begun()));
  expect(working).toHaveLength(4);
  for (const task of working.slice(3)) shards.complete(task);
  working.push(...(await shards.begun()));
  expect(runsOf(working)).toEqual(runs.toSorted());
});

test("units are counted over both shards, come in time, and come back when they are not used", async () => {
  const shards = await TwoShards.begin({ rate: [{ units: 3, perMs: 60_000 }] });
  const { task, attempt } = await shards.startHeld(OTHER);
  await startAll(shards, [OWNER, OWNER, OWNER, OTHER]);
  expect(await shards.begun(100)).toHaveLength(2);
  expect(await shards.begun(19_000)).toEqual([]);
  expect(await shards.begun(1_000)).toHaveLength(1); // a third of a minute after the first three
  shards.at(OTHER).say({ type: "settle", task, attempt, limit: "llm", used: 0 });
  expect(await shards.begun(2 * UNSPENT_MS)).toHaveLength(1);
});

test.each([OTHER, OWNER])("a key that a worker paused is paused at both (shard %i)", async (at) => {
  const shards = await TwoShards.begin({ rate: [{ units: 100, perMs: 1_000 }] });
  const { task, attempt } = await shards.startHeld(at);
  const times = { startedAt: Date.now(), finishedAt: Date.now() };
  const refused = { type: "rate_limited" as const, task, attempt, shard: at, ...times };
  shards.at(at).say({ ...refused, retryAfterMs: 20_000 });
  await shards.at(at).receive("recorded");
  await startAll(shards, [OTHER, OWNER]);
  expect(await shards.begun(19_000)).toEqual([]);
  expect(await shards.begun(2_000)).toHaveLength(3);
});

test.each([
  ["the shard that has borrowed it crashes", OTHER, "crash"],
  ["the shard that counts it crashes", OWNER, "crash"],
  ["the shard that counts it loses its memory", OWNER, "forget"],
])("a permit is held on while %s", async (_, shard, how) => {
  const shards = await TwoShards.begin({ concurrency: 1 });
  const held = await shards.startHeld(OTHER);
  const { world } = shards;
  if (how === "crash") await world.crashShard(shard);
  else await world.forgetShard(shard);
  await shards.at(shard).closed;
  await shards.connect(shard, shard === OTHER ? [held] : []);
  const runs = await startAll(shards, [OWNER, OTHER]);
  await shards.nothingBegins(30_000);
  shards.complete(held);
  const [next, ...others] = await shards.begun();
  expect(others).toEqual([]);
  expect(runs).toContain(next?.run);
  if (next) shards.complete(next);
  expect(await shards.begun()).toHaveLength(1);
});

test("a permit of a shard that vanishes is another's once its attempt can't be at work any more", async () => {
  const timeoutMs = 40_000;
  const shards = await TwoShards.begin({ concurrency: 1 }, { timeoutMs });
  const { world } = shards;
  await shards.startHeld(OTHER);
  await world.settled();
  const lock = await world.holdCommits(OTHER); // none of its lives comes to know anything
  await world.crashShard(OTHER);
  const run = await shards.start(OWNER);
  const own = { shards: [OWNER], isStuck: true };
  const leaseMs = 2 * (timeoutMs + LEASE_SLACK_MS);
  await world.advance(timeoutMs + LEASE_SLACK_MS, own);
  expect(shards.at(OWNER).unread.filter(({ type }) => type === "task")).toEqual([]);
  await world.advance(leaseMs - timeoutMs - LEASE_SLACK_MS + LOAN_MARGIN_MS, own);
  await shards.at(OWNER).receiveTask({ run });
  await lock.release();
});

test("the oldest holder is cancelled for the newest run, wherever either of them is", async () => {
  const strategy = "cancel-in-progress";
  const shards = await TwoShards.begin({ concurrency: 2, strategy }, { isOfRun: true });
  const { world } = shards;
  const working = [await shards.startHeld(OTHER), await shards.startHeld(OWNER)];
  for (const shard of [OWNER, OTHER, OTHER]) {
    const run = await shards.start(shard);
    expect(await shards.begun()).toEqual([]); // the oldest has not let go yet
    const oldest = working.shift() ?? expect.fail("nothing is at work");
    await shards.at(oldest.shard).receive("cancel", { task: oldest.task });
    shards.at(oldest.shard).release(oldest);
    working.push(await shards.received(shard, run));
    expect(await world.readRun(oldest.run)).toMatchObject({
      state: "cancelled",
      error: { code: "limit_full" },
    });
    for (const { run: left } of working) {
      expect(await world.readRun(left)).not.toMatchObject({ state: "cancelled" });
    }
  }
  for (const worker of shards.workers) {
    expect(worker.unread.filter(({ type }) => type === "cancel")).toEqual([]);
  }
});

test.each([
  [OWNER, OTHER],
  [OTHER, OWNER],
  [OTHER, OTHER],
])("the newest run is cancelled when its limit is full (held at %i, new at %i)", async (at, to) => {
  const strategy = "cancel-newest";
  const shards = await TwoShards.begin({ concurrency: 1, strategy }, { isOfRun: true });
  const { world } = shards;
  const held = await shards.startHeld(at);
  const newest = await shards.start(to);
  expect(await shards.begun()).toEqual([]);
  expect(await world.readRun(newest)).toMatchObject({
    state: "cancelled",
    error: { code: "limit_full" },
  });
  expect((await world.readRun(held.run)).state).not.toBe("cancelled");
  shards.complete(held);
  await shards.begun();
  // What is free again is had by whoever comes first.
  await shards.startHeld(to);
  const second = await shards.start(at);
  expect(await shards.begun()).toEqual([]);
  expect(await world.readRun(second)).toMatchObject({ state: "cancelled" });
});

test("an attempt under a borrowed permit has more time once that is lent for so long", async () => {
  const shards = await TwoShards.begin({ concurrency: 1 }, { timeoutMs: 5_000 });
  const { world } = shards;
  const held = await shards.startHeld(OTHER);
  await world.settled();
  const timeoutMs = 600_000;
  const { task, attempt } = held;
  const lock = await world.holdCommits(OWNER);
  await world.crashShard(OWNER); // it can't say that it lends anything
  shards.at(OTHER).say({ type: "extend", task, attempt, timeoutMs });
  await world.advance(2_000, { ...BOTH, isStuck: true });
  expect(shards.at(OTHER).unread.filter(({ type }) => type === "extended")).toEqual([]);
  await lock.release();
  await world.advance(2_500, BOTH);
  await shards.at(OTHER).receive("extended", { task, attempt, timeoutMs });

  await shards.connect(OWNER, []);
  const run = await shards.start(OWNER);
  await shards.nothingBegins(timeoutMs - 60_000);
  shards.complete(held);
  await shards.received(OWNER, run);
});
