/** What a shard says of limits that others count, or that it has lent: as the scheduler decides, and changing nothing. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { shardOfKey } from "../../protocol/shard-map.ts";
import type { LimitUse, WaitReason } from "../../protocol/limit-bodies.ts";
import { runIdOf } from "../../protocol/ids.ts";
import { Random } from "../simulation/random.ts";
import { NO_TROUBLE } from "./shard-network.ts";
import { Shards } from "./shards.ts";
import { TIMEOUT_MS, type Working } from "./workers.ts";

const SHARDS = 3;
const KEY = "k";
const OWNER = shardOfKey(`flow:step#1 ${KEY}`, SHARDS);
const [FIRST = 0, SECOND = 0] = [0, 1, 2].filter((shard) => shard !== OWNER);
const PERMITS = { key: "input.k", concurrency: 2 };
const UNITS = { key: "input.k", rate: [{ units: 2, perMs: 60_000 }] };

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));
afterEach(() => void vi.useRealTimers());

async function begin(limit: LimitUse): Promise<Shards> {
  const world = new Shards(new Random("why"), NO_TROUBLE, [limit]);
  world.reshard(SHARDS);
  await world.pass(500);
  return world;
}

/** A task becomes ready, and there is time to ask for what it needs; its id. */
async function arrive(world: Shards, shard: number): Promise<string> {
  const before = new Set(world.open.keys());
  world.arrive(shard, KEY);
  await world.pass(500);
  const [task = ""] = [...world.open.keys()].filter((id) => !before.has(id));
  return task;
}

async function why(world: Shards, shard: number, task: string): Promise<WaitReason | undefined> {
  const asked = world.shards.get(shard)?.why.why([task]);
  await world.pass(100);
  const [reason] = (await asked) ?? [];
  return reason;
}

const holderOf = (task: string) => ({ run: runIdOf(task), task, attempt: 1 });

function workingAt(world: Shards, task: string): Working | undefined {
  return [...world.working.values()].find((each) => each.task === task);
}

test.each([FIRST, OWNER])(
  "of a limit that is full it is told who holds it, wherever they are (shard %i)",
  async (shard) => {
    const world = await begin(PERMITS);
    const held = [await arrive(world, OWNER), await arrive(world, SECOND)];
    const waiting = await arrive(world, shard);
    expect(workingAt(world, waiting)).toBeUndefined();
    expect(await why(world, shard, waiting)).toEqual({
      kind: "concurrency",
      limit: "flow:step#1",
      key: KEY,
      held: 2,
      bound: 2,
      holders: held.map(holderOf),
      line: { position: 1, length: 1, isExact: true },
    });
  },
);

test("those who wait at other shards are in the line, of which the place is the least", async () => {
  const world = await begin(PERMITS);
  for (const shard of [OWNER, FIRST, OWNER, FIRST]) await arrive(world, shard);
  const last = await arrive(world, SECOND);
  const reason = await why(world, SECOND, last);
  expect(reason).toMatchObject({ line: { length: 3, isExact: false } });
});

test("whoever has borrowed and can't be asked is said to hold it elsewhere", async () => {
  const world = await begin(PERMITS);
  const here = await arrive(world, OWNER);
  await arrive(world, SECOND);
  const waiting = await arrive(world, FIRST);
  world.shards.delete(SECOND);
  expect(await why(world, FIRST, waiting)).toMatchObject({
    held: 2,
    holders: [holderOf(here)],
    heldElsewhere: 1,
  });
});

test.each([
  ["permits", PERMITS, { kind: "concurrency", held: 1, bound: 2 }],
  ["units", UNITS, { kind: "rate", units: 1 }],
])(
  "without the owner of %s it is told what is known here, and no more",
  async (_, limit, known) => {
    const world = await begin(limit);
    const tasks = [];
    for (const shard of [FIRST, OWNER, FIRST]) tasks.push(await arrive(world, shard));
    world.shards.delete(OWNER);
    const reason = await why(world, FIRST, tasks[2] ?? "");
    const line = { position: 1, length: 1, isExact: false };
    expect(reason).toMatchObject({ ...known, doubt: "unreached", line });
  },
);

test("of units it is told when their owner has enough", async () => {
  const world = await begin(UNITS);
  await arrive(world, OWNER);
  await arrive(world, OWNER);
  const waiting = await arrive(world, FIRST);
  const reason = await why(world, FIRST, waiting);
  if (reason?.kind !== "rate") throw new Error(`It waits for ${reason?.kind}`);
  const inMs = Date.parse(reason.availableAt) - world.now;
  expect(inMs).toBeGreaterThan(20_000);
  await world.pass(inMs - 1);
  expect(workingAt(world, waiting)).toBeUndefined();
  await world.pass(100);
  expect(workingAt(world, waiting)).toBeDefined();
});

test("an owner that does not know yet what others hold gives nothing, and says so", async () => {
  const world = await begin(PERMITS);
  await arrive(world, FIRST);
  world.crash(OWNER, true);
  world.shards.delete(SECOND); // it never answers
  await world.pass(TIMEOUT_MS + 20_000);
  const waiting = await arrive(world, OWNER);
  expect(await why(world, OWNER, waiting)).toMatchObject({
    kind: "concurrency",
    held: 0,
    bound: 2,
    doubt: "gathering",
  });
  expect(workingAt(world, waiting)).toBeUndefined();
});

test("a shard that has forgotten who holds what says until when it gives nothing", async () => {
  const world = await begin(PERMITS);
  world.crash(OWNER, true);
  await world.pass(1_000);
  const waiting = await arrive(world, OWNER);
  const closedUntil = world.shards.get(OWNER)?.state.permits.closedUntil ?? 0;
  expect(closedUntil).toBeGreaterThan(world.now);
  expect(await why(world, OWNER, waiting)).toMatchObject({
    kind: "concurrency",
    closedUntil: new Date(closedUntil).toISOString(),
  });
});

test("to explain asks nobody for a loan, and has nobody gather", async () => {
  const world = await begin(PERMITS);
  for (const shard of [OWNER, OWNER, FIRST]) await arrive(world, shard);
  const waiting = await arrive(world, FIRST);
  const { state } = world.shards.get(FIRST) ?? {};
  const [loan] = state?.borrowing.loans() ?? [];
  if (state === undefined || loan === undefined) throw new Error("Nothing is borrowed");
  const before = JSON.stringify([loan.record, loan.needMs, loan.asked, loan.fullUntil]);
  loan.fullUntil = Number.POSITIVE_INFINITY;
  state.borrowing.takeTouched(0);
  state.lending.isClosed = true;
  void world.shards.get(FIRST)?.why.why([waiting]);
  expect(state.borrowing.hasTouched).toBe(false);
  expect(state.lending.isWanted).toBe(false);
  expect(loan.fullUntil).toBe(Number.POSITIVE_INFINITY);
  loan.fullUntil = 0;
  expect(JSON.stringify([loan.record, loan.needMs, loan.asked, loan.fullUntil])).toBe(before);
});

test("a limit's keys name no shard as a holder; the owner counts what is lent", async () => {
  const world = await begin(PERMITS);
  const here = await arrive(world, OWNER);
  const there = await arrive(world, SECOND);
  const stateAt = (shard: number) =>
    world.shards.get(shard)?.why.limitState("flow:step#1", [KEY]).keys ?? [];
  // Inline limits have no bound in the book: their needs say it while something waits.
  for (const shard of [OWNER, SECOND]) await arrive(world, shard);
  const own = { isOwn: true, held: 2, waiting: 1, holders: [holderOf(here)] };
  expect(stateAt(OWNER)).toMatchObject([own]);
  const others = { isOwn: false, held: 1, waiting: 1, holders: [holderOf(there)] };
  expect(stateAt(SECOND)).toMatchObject([others]);
  expect(world.shards.get(OWNER)?.why.limitState("flow:step#1", ["z"]).keys).toEqual([]);
});
