/** What becomes of a task that would rather be cancelled than wait, at a shard that has to ask another whether it must. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { BorrowCall } from "../../durable-objects/dispatcher/loan-messages.ts";
import { UNSPENT_MS } from "../../durable-objects/dispatcher/limits.ts";
import { shardOfKey } from "../../protocol/shard-map.ts";
import { Random } from "../simulation/random.ts";
import { NO_TROUBLE } from "./shard-network.ts";
import { Shards } from "./shards.ts";

const KEY = "flow:step#1 k";
const OWNER = shardOfKey(KEY, 2);
const OTHER = 1 - OWNER;

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));
afterEach(() => void vi.useRealTimers());

/** Both permits are held: one here, one by a task of the owner's. */
async function begin(): Promise<Shards> {
  const limit = { key: "input.k", concurrency: 2, strategy: "cancel-newest" as const };
  const world = new Shards(new Random("full"), NO_TROUBLE, [limit]);
  world.reshard(2);
  await world.pass(500);
  world.arrive(OTHER, "k");
  world.arrive(OWNER, "k");
  await world.pass(500);
  expect(shardsAtWork(world)).toEqual([0, 1]);
  return world;
}

const shardsAtWork = (world: Shards): number[] =>
  [...world.working.values()]
    .filter(({ key }) => key === "k")
    .map(({ shard }) => shard)
    .toSorted();

function stateOf(world: Shards) {
  return world.shards.get(OTHER)?.state ?? expect.fail();
}

/** How often the owner has been told since that something waits. */
const askedSince = (world: Shards, at: number): number =>
  world.said.filter(
    (said) =>
      said.at >= at &&
      said.method === "hearBorrow" &&
      (said.parameter as BorrowCall).asks.some(
        ({ id, waiting }) => id === KEY && waiting.length > 0,
      ),
  ).length;

test("that the limit was full for one that has gone is not held against the next", async () => {
  const world = await begin();
  const { window } = stateOf(world);
  world.arrive(OTHER, "k"); // the owner is asked for it
  for (const { id } of window.remove(() => true)) world.open.delete(id);
  await world.pass(100);
  const ofOwner = [...world.working.values()].find(({ shard }) => shard === OWNER);
  world.end(ofOwner ?? expect.fail());
  await world.pass(100);
  world.arrive(OTHER, "k");
  await world.pass(100);
  expect(shardsAtWork(world)).toEqual([OTHER, OTHER]);
});

/** A task waits at the other shard, of which that one has put all but its needs back into the queue. */
function arriveParked(world: Shards): () => void {
  const { window, backlog, turns } = stateOf(world);
  world.arrive(OTHER, "k");
  const [lane = expect.fail()] = [...window.lanes()].filter(({ length }) => length > 0);
  const task = lane.first ?? expect.fail();
  lane.parked = task;
  window.empty(lane);
  return () => {
    const demand = backlog.demand(() => true);
    expect(demand).toMatchObject([{ lane: lane.number }]);
    window.add(task);
    turns.join(lane);
    backlog.taken(demand, []);
  };
}

test("one that is in the queue goes once it has come from there, and the owner is not asked again", async () => {
  const world = await begin();
  const bringIn = arriveParked(world);
  await world.pass(UNSPENT_MS / 2);
  const since = world.now;
  bringIn();
  world.arrive(OTHER, "another"); // the shard looks at all of it again
  await world.pass(100);
  expect(stateOf(world).window.size).toBe(0);
  expect(askedSince(world, since)).toBe(0);
  expect(shardsAtWork(world)).toEqual([0, 1]);
});

test("one that comes from the queue much later is asked for again", async () => {
  const world = await begin();
  const bringIn = arriveParked(world);
  await world.pass(2 * UNSPENT_MS);
  const ofOwner = [...world.working.values()].find(({ shard }) => shard === OWNER);
  world.end(ofOwner ?? expect.fail());
  bringIn();
  world.arrive(OTHER, "another"); // the shard looks at all of it again
  await world.pass(100);
  expect(shardsAtWork(world)).toEqual([OTHER, OTHER]);
});
