/** How long what is lent stays lent: renewed in time, taken back at its end and not before, and unknown until asked. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  LEASE_SLACK_MS,
  LOAN_MARGIN_MS,
  PEER_RETRY_MAX_MS,
  UNSPENT_MS,
} from "../../durable-objects/dispatcher/limits.ts";
import { MAX_CALLS } from "../../durable-objects/shard-peers.ts";
import { shardOfKey } from "../../protocol/shard-map.ts";
import { Random } from "../simulation/random.ts";
import { NO_TROUBLE } from "./shard-network.ts";
import { type Said, Shards } from "./shards.ts";
import { TIMEOUT_MS, type Working } from "./workers.ts";

const KEY = "k";
const ONE = { key: "input.k", concurrency: 1 };
/** How long a permit is lent for whose attempts take so long: twice what they may hold it. */
const LEASE_MS = 2 * (TIMEOUT_MS + LEASE_SLACK_MS);
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));
afterEach(() => void vi.useRealTimers());

interface Story {
  world: Shards;
  owner: number;
  other: number;
  third: number;
}

/** Three shards, of which one counts the only permit of a key: of each step, or of each run. */
async function begin(isOfRun = false, key = KEY): Promise<Story> {
  const random = new Random("times");
  const world = new Shards(random, NO_TROUBLE, isOfRun ? [] : [ONE], isOfRun ? [ONE] : []);
  world.reshard(3);
  const owner = shardOfKey(`${isOfRun ? "flow#1" : "flow:step#1"} ${key}`, 3);
  const [other = 0, third = 0] = [0, 1, 2].filter((shard) => shard !== owner);
  await world.pass(500);
  return { world, owner, other, third };
}

/** A task of the shard that has begun. */
async function working(world: Shards, shard: number, key = KEY): Promise<Working> {
  world.arrive(shard, key);
  await world.pass(200);
  const [found] = atWork(world, shard);
  return found ?? expect.fail(`nothing has begun at shard ${shard}`);
}

const atWork = (world: Shards, shard?: number): Working[] =>
  [...world.working.values()].filter((each) => shard === undefined || each.shard === shard);

/** What shards have said to each other since. */
function saidSince(world: Shards, at: number, method = "hearBorrow"): Said[] {
  return world.said.filter((said) => said.at >= at && said.method === method);
}

const loanOf = (world: Shards, shard: number) => {
  const [loan] = world.shards.get(shard)?.state.borrowing.loans() ?? [];
  return loan?.record ?? expect.fail(`shard ${shard} has borrowed nothing`);
};

/** Lets time pass, and looks in between whether all is as it must be. */
async function passWhile(world: Shards, ms: number, holds: () => void): Promise<void> {
  const end = world.now + ms;
  const stepMs = Math.max(1_000, ms / 1_000);
  while (world.now < end) {
    await world.pass(Math.min(stepMs, end - world.now));
    holds();
  }
}

test("what is used is asked for anew at half of its time, and not before", async () => {
  const { world, other } = await begin();
  const first = await working(world, other);
  const { until } = loanOf(world, other);
  world.extend(first, LEASE_MS); // longer than it is lent for
  await world.pass(100);
  const prolonged = loanOf(world, other).until;
  expect(prolonged).toBeGreaterThan(until);
  await world.pass(5_000); // what had been said meanwhile is settled
  const since = world.now;
  const leaseMs = 2 * (LEASE_MS + LEASE_SLACK_MS);
  const half = prolonged - leaseMs / 2;
  await world.pass(half - 1 - world.now);
  expect(saidSince(world, since)).toEqual([]);
  await world.pass(1_000);
  expect(saidSince(world, since)).toHaveLength(1);
  expect(loanOf(world, other).until).toBeGreaterThanOrEqual(half + leaseMs);
});

test("a permit of a shard that has vanished is another's once its time is over, and not before", async () => {
  const { world, owner, other } = await begin();
  await working(world, other);
  const { until } = loanOf(world, other);
  world.cut.add(other);
  world.crash(other, false);
  world.arrive(owner, KEY);
  const ends = until + LOAN_MARGIN_MS;
  await passWhile(world, ends - 1 - world.now, () => expect(atWork(world, owner)).toEqual([]));
  await world.pass(1);
  expect(atWork(world, owner)).toHaveLength(1);
});

test("a shard that is cut off begins nothing that could outlast what it was lent", async () => {
  const { world, owner, other } = await begin();
  const first = await working(world, other);
  const { until } = loanOf(world, other);
  world.cut.add(other);
  world.arrive(owner, KEY);
  world.end(first);
  for (let tasks = 0; tasks < 100; tasks++) world.arrive(other, KEY);
  let begun = 0;
  await passWhile(world, until + LOAN_MARGIN_MS + 1_000 - world.now, () => {
    expect(atWork(world).length).toBeLessThanOrEqual(1);
    for (const each of atWork(world, other)) {
      begun++;
      expect(each.until + LEASE_SLACK_MS).toBeLessThanOrEqual(until);
      world.end(each);
    }
  });
  expect(begun).toBeGreaterThan(0); // while there was time enough for them
  expect(atWork(world, other)).toEqual([]);
  expect(atWork(world, owner)).toHaveLength(1);
});

test("an attempt has more time once its permit is lent for so long, and holds it for all of it", async () => {
  const { world, owner, other } = await begin();
  const first = await working(world, other);
  const { until: stopsAt } = first;
  world.arrive(owner, KEY);
  world.cut.add(other);
  world.extend(first, HOUR_MS);
  await world.pass(5_000);
  expect(first.until).toBe(stopsAt); // nobody has said that it may
  world.cut.delete(other);
  await world.pass(PEER_RETRY_MAX_MS + 1_000);
  expect(first.until).toBeGreaterThan(stopsAt);

  // From now on nobody can ask for more of it, and the attempt goes on all the same.
  world.cut.add(other);
  await passWhile(world, first.until - 1 - world.now, () => {
    expect(atWork(world)).toEqual([first]);
  });
  await world.pass(HOUR_MS + 2 * LEASE_SLACK_MS + LOAN_MARGIN_MS);
  expect(atWork(world, owner)).toHaveLength(1);
});

test("a run that sleeps for days keeps its permit, for one call in half an hour", async () => {
  const { world, owner, other } = await begin(true);
  const first = await working(world, other);
  const wakesAt = world.now + 3 * DAY_MS;
  world.sleep(first, 3 * DAY_MS);
  await world.pass(60_000);
  world.arrive(owner, KEY);
  await world.pass(2 * HOUR_MS); // the longer it is held the less often it is asked for
  const since = world.now;
  while (world.now < since + DAY_MS) {
    await world.pass(HOUR_MS / 6);
    expect(atWork(world)).toEqual([]);
  }
  expect(saidSince(world, since).length).toBeGreaterThanOrEqual(24);
  expect(saidSince(world, since).length).toBeLessThanOrEqual(50);
  expect(world.said.filter(({ at, method }) => at >= since && method !== "hearBorrow")).toEqual([]);

  await world.pass(wakesAt - world.now + 100);
  const [again] = atWork(world);
  expect(again).toMatchObject({ shard: other, task: first.task, attempt: 2 });
  if (again) world.end(again);
  await world.pass(1_000);
  expect(atWork(world)).toMatchObject([{ shard: owner }]);
});

test("a run that sleeps at a shard that has vanished keeps its permit until its time is over", async () => {
  const { world, owner, other } = await begin(true);
  const wakesAt = world.now + DAY_MS;
  world.sleep(await working(world, other), DAY_MS);
  await world.pass(HOUR_MS);
  const { until } = loanOf(world, other);
  world.cut.add(other);
  world.arrive(owner, KEY);
  const ends = until + LOAN_MARGIN_MS;
  await passWhile(world, ends - 1 - world.now, () => expect(atWork(world)).toEqual([]));
  await world.pass(1);
  const [here] = atWork(world, owner);
  if (here) world.sleep(here, 2 * DAY_MS);

  // Back again it wakes while another run has the permit, and waits for that one's end.
  world.cut.delete(other);
  await passWhile(world, wakesAt + HOUR_MS - world.now, () => expect(atWork(world)).toEqual([]));
  await world.pass(2 * DAY_MS);
  expect(atWork(world)).toMatchObject([{ shard: owner, attempt: expect.any(Number) as number }]);
  for (const each of atWork(world)) world.end(each);
  await world.pass(1_000);
  expect(atWork(world)).toMatchObject([{ shard: other }]);
});

test("an owner that has lost its memory lends nothing until all others have said what they hold", async () => {
  const { world, owner, other, third } = await begin();
  const own = keyAt(other, 3);
  world.end(await working(world, third, own)); // that one knows by now what is held of its keys
  await world.pass(2 * UNSPENT_MS);
  const held = await working(world, other);
  world.cut.add(third);
  world.crash(owner, true);
  await world.pass(100);
  world.arrive(owner, KEY);
  world.arrive(other, own);
  await world.pass(TIMEOUT_MS - 1_000);
  expect(atWork(world)).toMatchObject([held, { key: own, shard: other }]);
  for (const each of atWork(world)) world.end(each);
  await passWhile(world, 5 * LEASE_MS, () => expect(atWork(world)).toEqual([]));
  // It goes on asking, not too often, and only the one that has not answered.
  const asked = saidSince(world, world.now - 60_000, "hearGather");
  expect(asked.length).toBeGreaterThan(0);
  expect(asked.length).toBeLessThanOrEqual((MAX_CALLS * 60_000) / PEER_RETRY_MAX_MS);
  expect(new Set(asked.map(({ to }) => to))).toEqual(new Set([third]));

  world.cut.delete(third);
  await world.pass(PEER_RETRY_MAX_MS + 500);
  expect(atWork(world)).toMatchObject([{ shard: owner }]);
});

test("what the last of them to answer holds counts as well", async () => {
  const { world, owner, other, third } = await begin();
  const held = await working(world, other);
  world.extend(held, HOUR_MS);
  await world.pass(100);
  world.crash(owner, true);
  world.cut.add(other);
  world.arrive(third, KEY);
  await passWhile(world, 5 * LEASE_MS, () => expect(atWork(world)).toEqual([held]));
  world.cut.delete(other);
  await passWhile(world, 60_000, () => expect(atWork(world)).toEqual([held])); // it has said so
  world.end(held);
  await world.pass(1_000);
  expect(atWork(world)).toMatchObject([{ shard: third }]);
});

test("so does what was held of a key before the number of shards changed, by one that knows nothing of that", async () => {
  const key = movedAt(3, 4);
  const { world, other } = await begin(false, key);
  const held = await working(world, other, key);
  world.extend(held, HOUR_MS);
  await world.pass(100);
  world.cut.add(other);
  world.reshard(4);
  await world.pass(500);
  const next = shardOfKey(`flow:step#1 ${key}`, 4);
  world.arrive(next, key);
  await passWhile(world, HOUR_MS - 10_000, () => expect(atWork(world)).toEqual([held]));
  world.end(held);
  await passWhile(world, HOUR_MS, () => expect(atWork(world)).toEqual([]));
  world.cut.delete(other);
  await world.pass(PEER_RETRY_MAX_MS + 500);
  expect(atWork(world)).toMatchObject([{ shard: next }]);
});

/** A key that the shard counts, of so many. */
function keyAt(shard: number, count: number): string {
  for (let n = 0; ; n++) if (shardOfKey(`flow:step#1 k${n}`, count) === shard) return `k${n}`;
}

/** A key that a new shard takes over. */
function movedAt(before: number, after: number): string {
  for (let n = 0; ; n++) {
    const id = `flow:step#1 k${n}`;
    if (shardOfKey(id, before) !== shardOfKey(id, after)) return `k${n}`;
  }
}
