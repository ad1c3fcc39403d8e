/**
 * Limits between shards against what they promise: at no moment do more attempts hold a limit than it allows,
 * whatever becomes of messages and shards; and once the trouble is over everything that waits has its turn.
 */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { RateWindow } from "../../protocol/limit-bodies.ts";
import { Random } from "../simulation/random.ts";
import { NO_TROUBLE, type Trouble } from "./shard-network.ts";
import { Shards } from "./shards.ts";
import { type Take, TIMEOUT_MS } from "./workers.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));
afterEach(() => void vi.useRealTimers());

/** `SEEDS=500 SEED=1000` for more, and others. */
const SEEDS = Number(process.env["SEEDS"] ?? 30);
const FIRST = Number(process.env["SEED"] ?? 1);
/** An owner that has lost its storage, and is overtaken by a message of the life before. */
const PINNED = [5_192];
const KEYS = ["a", "b", "c"] as const;
const BOUND = 3;

const TROUBLES: Trouble[] = [
  NO_TROUBLE,
  { lost: 0.1, repeated: 0.1, lateMs: 50 },
  { lost: 0.3, repeated: 0.3, lateMs: 500 },
];

test.each([...PINNED, ...Array.from({ length: SEEDS }, (_, index) => FIRST + index)])(
  "permits are exact at every moment, and everything ends (seed %i)",
  async (seed) => {
    const random = new Random(`permits ${seed}`);
    const trouble = random.pick(TROUBLES) ?? NO_TROUBLE;
    const isOfRun = random.chance(0.3);
    const limit = { key: "input.k", concurrency: BOUND };
    const world = new Shards(
      random.stream("net"),
      trouble,
      isOfRun ? [] : [limit],
      isOfRun ? [limit] : [],
    );
    world.reshard(random.between(1, 5));
    await world.pass(100);
    const losesStorage = random.chance(0.4);
    for (let move = 0; move < 150; move++) {
      await act(world, random, losesStorage);
      check(world, seed);
    }
    await finish(world, random, () => check(world, seed));
  },
);

async function act(world: Shards, random: Random, losesStorage: boolean): Promise<void> {
  const kind = random.weighted({
    arrive: 8,
    end: 8,
    extend: 2,
    pass: 5,
    crash: 0.4,
    reshard: 0.4,
    cut: 0.4,
  });
  if (kind === "arrive") {
    const shard = random.pick([...world.shards.keys()]) ?? 0;
    for (let count = random.between(1, 3); count > 0; count--) {
      world.arrive(shard, random.pick(KEYS), random.between(1, 4));
    }
  } else if (kind === "end") {
    const working = random.pick([...world.working.values()]);
    if (working) world.end(working);
  } else if (kind === "extend") {
    const working = random.pick([...world.working.values()]);
    if (working) world.extend(working, random.between(1, 6 * TIMEOUT_MS));
  } else if (kind === "crash") {
    const shard = random.pick([...world.shards.keys()]) ?? 0;
    world.crash(shard, losesStorage && random.chance(0.5));
  } else if (kind === "reshard") {
    world.reshard(random.between(1, 6));
  } else if (kind === "cut") {
    const shard = random.pick([...world.shards.keys()]) ?? 0;
    if (!world.cut.delete(shard)) world.cut.add(shard);
  }
  await world.pass(kind === "pass" ? random.skewed(1, 30_000) : random.skewed(0, 200));
}

function check(world: Shards, seed: number): void {
  for (const [key, held] of world.held()) {
    expect(held, `${held} hold "${key}" at ${world.now} (seed ${seed})`).toBeLessThanOrEqual(BOUND);
  }
}

/** Without trouble from now on, everything that is open ends. */
async function finish(world: Shards, random: Random, checked: () => void): Promise<void> {
  world.trouble = NO_TROUBLE;
  world.cut.clear();
  const endsBy = world.now + 40 * TIMEOUT_MS;
  while (world.open.size > 0) {
    expect(world.now, `${world.open.size} tasks never start`).toBeLessThan(endsBy);
    for (const working of world.working.values()) if (random.chance(0.7)) world.end(working);
    await world.pass(200);
    checked();
  }
  await world.pass(400_000); // longer than anything is lent for
  for (const { state, loans } of world.shards.values()) {
    expect([...state.permits.ids()]).toEqual([]);
    expect([...state.borrowing.loans()].map(({ id }) => id)).toEqual([]);
    expect(state.lending.size).toBe(0);
    expect(loans.nextDue).toBe(Infinity);
  }
}

/** One that holds no more than the largest task takes, and one with room for several. */
const RATES = [
  { units: 4, perMs: 4_000 },
  { units: 10, perMs: 10_000 },
];

test.each(Array.from({ length: SEEDS / 2 }, (_, index) => FIRST + index))(
  "units are exact over every stretch of time, and everything ends (seed %i)",
  async (seed) => {
    const random = new Random(`units ${seed}`);
    const trouble = random.pick(TROUBLES) ?? NO_TROUBLE;
    const rate = random.pick(RATES) ?? expect.fail();
    const limit = { key: "input.k", rate: [rate], units: "input.u" };
    // Small and large tasks take turns: who is first here is not who was told of first.
    const world = new Shards(random.stream("net"), trouble, [limit, { key: "input.u" }]);
    world.reshard(random.between(1, 5));
    await world.pass(100);
    const losesStorage = random.chance(0.3);
    for (let move = 0; move < 120; move++) await act(world, random, losesStorage);
    await finish(world, random, () => {});
    for (const key of KEYS) {
      checkUnits(
        world.taken.filter((take) => take.key === key),
        rate,
      );
    }
  },
);

/** No stretch of time has more than the bucket holds, and what came into it meanwhile. */
function checkUnits(takes: readonly Take[], rate: RateWindow): void {
  for (const [first, { at: since }] of takes.entries()) {
    let units = 0;
    for (const { at, units: taken } of takes.slice(first)) {
      units += taken;
      const most = rate.units + ((at - since) * rate.units) / rate.perMs;
      expect(units, `from ${since} to ${at}`).toBeLessThanOrEqual(most + 1e-6);
    }
  }
}
