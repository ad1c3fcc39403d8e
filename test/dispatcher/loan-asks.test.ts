/** What a shard tells the owner of a limit of those who wait: as it is when it says so, and worked out once. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { BorrowCall } from "../../durable-objects/dispatcher/loan-messages.ts";
import { shardOfKey } from "../../protocol/shard-map.ts";
import { Random } from "../simulation/random.ts";
import { NO_TROUBLE } from "./shard-network.ts";
import { Shards } from "./shards.ts";

const OWNER = shardOfKey("flow:step#1 k", 2);
const OTHER = 1 - OWNER;

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));
afterEach(() => void vi.useRealTimers());

async function begin(): Promise<Shards> {
  const world = new Shards(new Random("asks"), NO_TROUBLE, [{ key: "input.k", concurrency: 2 }]);
  world.reshard(2);
  await world.pass(500);
  // Both know by now what is held.
  world.arrive(OTHER, "k");
  await world.pass(500);
  return world;
}

/** How many wait at the other shard, in each call that the owner has had since. */
const waitingSince = (world: Shards, at: number): number[] =>
  world.said
    .filter((said) => said.at >= at && said.method === "hearBorrow")
    .map(({ parameter }) => (parameter as BorrowCall).asks[0]?.waiting.length ?? 0);

test("who waits is worked out once for a call", async () => {
  const world = await begin();
  const { turns } = world.shards.get(OTHER)?.state ?? expect.fail();
  const since = world.now;
  const looked = vi.spyOn(turns, "orderFor");
  world.arrive(OTHER, "k");
  expect(waitingSince(world, since)).toEqual([1]);
  expect(looked).toHaveBeenCalledTimes(1);
});

test("whoever comes while a call is on its way is told of in the next one, all together", async () => {
  const world = await begin();
  const since = world.now;
  for (let tasks = 0; tasks < 5; tasks++) world.arrive(OTHER, "k");
  expect(waitingSince(world, since)).toEqual([1]);
  await world.pass(20);
  expect(waitingSince(world, since)).toEqual([1, 4]);
});

test("whoever has gone before the call that was to tell of it is not told of", async () => {
  const world = await begin();
  const { state } = world.shards.get(OTHER) ?? expect.fail();
  const other = keyOfOwner();
  world.arrive(OTHER, "k"); // of this one the owner is asked now
  world.arrive(OTHER, other);
  world.arrive(OTHER, other);
  const since = world.now + 1;
  for (const { id } of state.window.remove(({ input }) => isOf(input, other))) {
    world.open.delete(id);
  }
  await world.pass(20);
  expect(waitingSince(world, since)).not.toContain(2);
  expect(state.borrowing.find(`flow:step#1 ${other}`)).toBeUndefined();
});

const isOf = (input: unknown, key: string): boolean => (input as { k: string }).k === key;

/** Another key that the same shard counts. */
function keyOfOwner(): string {
  for (let n = 0; ; n++) if (shardOfKey(`flow:step#1 k${n}`, 2) === OWNER) return `k${n}`;
}
