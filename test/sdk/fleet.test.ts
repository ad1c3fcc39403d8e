/** A worker and its shards, of which there are several: they come and go, and each has its credit. */
import { expect, test } from "vitest";
import { CLOSE_DRAINED } from "../../protocol/errors.ts";
import type { Shard } from "../../protocol/http.ts";
import { chooseShards, leftOut } from "../../sdk/session/affinity.ts";
import { type FakeSession, shardOf, task } from "./fake-shard.ts";
import { createWorld, type World } from "./world.ts";

/** Welcomed sessions of a started worker, in the order of their shards. */
async function connectTo(world: World, numbers: number[], slots: number): Promise<FakeSession[]> {
  world.shard.shards = numbers;
  const started = world.makeWorker({ slots }).start();
  const sessions: FakeSession[] = [];
  for (const _ of numbers) sessions.push(await world.shard.session());
  for (const session of sessions) session.welcome();
  await started;
  return sessions.toSorted((left, right) => left.shard - right.shard);
}

function pair(sessions: FakeSession[]): [FakeSession, FakeSession] {
  const [first, second] = sessions;
  if (first === undefined || second === undefined) throw new Error("There are two");
  return [first, second];
}

test("a worker of one shard says nothing of credits", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect({ slots: 4 });
  expect(await session.hello).toMatchObject({ slots: 4 });
  expect(await session.hello).not.toHaveProperty("of");
  for (let count = 0; count < 5; count += 1) {
    session.send(task({ task: `task-${count}` }));
    (await calls.next("a call")).finish();
    await session.next("completed");
  }
  await session.settled();
  expect(session.count("slots")).toBe(0);
});

test("credits go to the shard that wants them, and only once the other has let go of them", async () => {
  const world = await createWorld();
  const [idle, busy] = pair(await connectTo(world, [0, 1], 4));
  expect(await idle.hello).toMatchObject({ slots: 2, of: 4 });
  busy.send({ type: "wanted", slots: 10, least: 1 });
  const { slots } = await idle.next("slots");
  expect(slots).toBe(0);
  await busy.settled();
  expect(busy.count("slots")).toBe(0); // the other may still send what it was told that it may
  idle.send(task({ task: "last", shard: 0 }), { type: "slots", slots });
  expect(await busy.answerSlots()).toBe(3);
  const call = await world.calls.next("a call");
  call.finish();
  await idle.next("completed");
  expect(await busy.answerSlots()).toBe(4);
  // What a life of the shard has said is not believed of the next.
  busy.vanish();
  const again = (await world.shard.session()).welcome();
  expect((await again.hello).slots).toBeLessThanOrEqual(4);
  expect(await idle.answerSlots()).toBe(2);
});

test("a shard that is announced is connected to without a question, and shares the slots", async () => {
  const { connect, shard, calls } = await createWorld();
  const { session: first } = await connect({ slots: 4 });
  first.send(task());
  const call = await calls.next("a call");
  const asked = shard.requestsTo("GET /shards").length;
  first.send({ type: "shards", version: 3, shards: [0, 1].map(shardOf) });
  expect(await first.next("slots")).toEqual({ type: "slots", slots: 3, of: 4 });
  const second = await shard.session();
  expect(await second.hello).toMatchObject({ slots: 0, of: 4 }); // the first has not answered
  second.welcome();
  first.send({ type: "slots", slots: 3 });
  expect(await second.answerSlots()).toBe(1);
  expect(shard.requestsTo("GET /shards")).toHaveLength(asked);
  call.finish("kept");
  expect(await first.next("completed")).toMatchObject({ output: "kept" });
});

test("an announcement that is not newer changes nothing", async () => {
  const world = await createWorld();
  const [first] = pair(await connectTo(world, [0, 1], 4));
  first.send({ type: "shards", version: 2, shards: [0, 1].map(shardOf) });
  first.send({ type: "shards", version: 2, shards: [shardOf(0)] });
  first.send({ type: "shards", version: 1, shards: [0, 1, 2].map(shardOf) });
  await first.settled();
  expect(world.lines.filter((line) => line.includes("closing"))).toEqual([]);
  // Nor does an older answer of the API, which says no version here.
  world.shard.shards = [0];
  first.vanish();
  const again = await world.shard.session();
  expect(again.shard).toBe(0);
  expect(world.lines.filter((line) => line.includes("closing"))).toEqual([]);
});

test("a shard that is no longer listed gets its results before its socket closes", async () => {
  const world = await createWorld();
  const [kept, closing] = pair(await connectTo(world, [0, 1], 4));
  closing.send(task({ shard: 1 }));
  const call = await world.calls.next("a call");
  kept.send({ type: "shards", version: 1, shards: [shardOf(0)] });
  await closing.next("drain");
  expect(await closing.answerSlots()).toBe(0);
  expect(await kept.answerSlots()).toBe(3);
  call.finish("last");
  await closing.next("completed");
  closing.send({ type: "recorded", task: "task-1", attempt: 1 });
  expect(await closing.closed).toMatchObject({ code: CLOSE_DRAINED });
  expect(await kept.answerSlots()).toBe(4);
});

test("results that a shard has not answered when it goes are reported by another", async () => {
  const world = await createWorld();
  const [kept, closing] = pair(await connectTo(world, [0, 1], 4));
  closing.send(task({ shard: 1 }));
  (await world.calls.next("a call")).finish("last");
  await closing.next("completed");
  kept.send({ type: "shards", version: 1, shards: [shardOf(0)] });
  await closing.next("drain");
  closing.vanish();
  expect(await kept.next("completed")).toMatchObject({ shard: 1, output: "last" });
});

test("a draining shard has the workers that come as well, until it leaves the list", async () => {
  const world = await createWorld();
  const [first] = pair(await connectTo(world, [0, 1], 4));
  const draining = [shardOf(0), { ...shardOf(1), isDraining: true }];
  const other = { ...shardOf(2), isDraining: true };
  first.send({ type: "shards", version: 1, shards: [...draining, other] });
  expect((await world.shard.session()).welcome().shard).toBe(2);
  expect(world.lines.filter((line) => line.includes("closing"))).toEqual([]);
});

const SHARDS: Shard[] = Array.from({ length: 8 }, (_, number) => shardOf(number));
const WORKERS = Array.from({ length: 400 }, (_, index) => `host-${index}:${index * 7}`);
const chosenBy = (worker: string, shards: readonly Shard[], affinity: number): number[] =>
  chooseShards(shards, worker, affinity).map(({ number }) => number);

test("workers choose their shards evenly, and change them only as they must", () => {
  const counts = SHARDS.map(() => 0);
  for (const worker of WORKERS) {
    const before = chosenBy(worker, SHARDS, 2);
    expect(before).toHaveLength(2);
    for (const number of before) counts[number] = (counts[number] ?? 0) + 1;
    const without = chosenBy(
      worker,
      SHARDS.filter(({ number }) => number !== 3),
      2,
    );
    expect(before.filter((number) => number !== 3 && !without.includes(number))).toEqual([]);
    const more = chosenBy(worker, [...SHARDS, shardOf(8)], 2);
    expect(more.filter((number) => number !== 8 && !before.includes(number))).toEqual([]);
  }
  for (const count of counts) expect(Math.abs(count - 100)).toBeLessThan(35);
});

test("a worker connects to as many shards as its affinity says, and to all where there are fewer", () => {
  expect(chosenBy("one", SHARDS, 1)).toHaveLength(1);
  expect(chosenBy("one", SHARDS, 20)).toHaveLength(8);
});

test("one that drains counts for none, and is among them while it is there", () => {
  const [first] = chosenBy("one", SHARDS, 1);
  const draining = SHARDS.map((shard) => ({ ...shard, isDraining: shard.number === first }));
  const chosen = chosenBy("one", draining, 1);
  expect(chosen).toHaveLength(2);
  expect(chosen).toContain(first);
});

test("a worker warns of shards that its affinity leaves out, once for each list of them", async () => {
  const world = await createWorld();
  world.shard.shards = [0, 1, 2];
  const said: string[] = [];
  const log = (level: string, line: string): void => {
    if (level === "warn" && line.includes("affinity")) said.push(line);
  };
  void world.makeWorker({ affinity: 1, name: "one", log }).start();
  const session = (await world.shard.session()).welcome();
  const [number = 0] = chosenBy("one", [0, 1, 2].map(shardOf), 1);
  const others = [0, 1, 2].filter((other) => other !== number);
  const warning = (left: number[]): string =>
    `its affinity leaves out ${left.length === 1 ? "shard" : "shards"} ${left.join(", ")} (it connects to ${number}): tasks there wait for ever unless another worker of their actions connects to them`;
  expect(said).toEqual([warning(others)]);
  session.send({ type: "shards", version: 2, shards: [0, 1, 2].map(shardOf) });
  session.send({ type: "shards", version: 3, shards: others.slice(1).concat(number).map(shardOf) });
  await session.settled();
  expect(said).toEqual([warning(others), warning(others.slice(1))]);
});

test("one that is connected to all of them does not", () => {
  const chosen = chooseShards(SHARDS, "one", undefined);
  expect(leftOut(SHARDS, chosen)).toBeUndefined();
  expect(leftOut(SHARDS, chooseShards(SHARDS, "one", 8))).toBeUndefined();
});
