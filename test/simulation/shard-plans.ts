/** How many shards a scenario has, and when somebody wants more or fewer. */
import type { Random } from "./random.ts";

/** Another number of shards, wanted at a moment. */
export interface ReshardingPlan {
  atMs: number;
  shards: number;
}

/** The same, by a call whose isolate dies in the middle, and which nobody repeats. */
export interface AbandonedPlan extends ReshardingPlan {
  diesAfterMs: number;
}

export interface ShardPlan {
  /** How many there are at first. */
  shards: number;
  reshardings: ReshardingPlan[];
  abandoned: AbandonedPlan[];
}

const ONE_SHARD: ShardPlan = { shards: 1, reshardings: [], abandoned: [] };

/** What of it a kind of bad day has. */
export interface Sharding {
  /** In how many of its seeds there is more than one shard at first, or later. */
  many: number;
  /** In how many of those their number changes. */
  reshards: number;
}

/** Mostly few: what goes wrong between shards goes wrong between two. */
const NUMBERS = { 1: 2, 2: 6, 3: 4, 4: 3, 5: 1, 6: 1, 7: 1, 8: 2 } as const;

const MAX_RESHARDINGS = 4;

/** Another change may come so soon that nobody has finished with the one before. */
const IN_QUICK_SUCCESSION = 0.4;
const QUICK_MS = 1_500;

/** One, and no other number later; or more than one, at first or later, in every seed. */
export const ASKED_SHARDS = ["one", "many"] as const;
export type AskedShards = (typeof ASKED_SHARDS)[number];

/** How many changes are left in the middle, where their number changes. Shards that are opened are waited for meanwhile. */
const ABANDONED = { 0: 3, 1: 2, 2: 1 } as const;
const MAX_DIES_AFTER_MS = 2_500;

export function drawShards(
  random: Random,
  { many, reshards }: Sharding,
  calmAtMs: number,
  asked?: AskedShards,
): ShardPlan {
  const hasMany = random.chance(many);
  const changes = random.chance(reshards);
  const shards = drawNumber(random);
  const reshardings = drawReshardings(random, calmAtMs);
  const abandoned = drawAbandoned(random, calmAtMs);
  const isMany = asked === undefined ? hasMany : asked === "many";
  if (!isMany) return ONE_SHARD;
  return changes ? { shards, reshardings, abandoned } : { ...ONE_SHARD, shards };
}

function drawAbandoned(random: Random, calmAtMs: number): AbandonedPlan[] {
  const count = Number(random.weighted(ABANDONED));
  return Array.from({ length: count }, () => ({
    atMs: random.between(500, calmAtMs),
    shards: drawNumber(random),
    diesAfterMs: random.skewed(1, MAX_DIES_AFTER_MS),
  }));
}

function drawReshardings(random: Random, calmAtMs: number): ReshardingPlan[] {
  const plans: ReshardingPlan[] = [];
  for (let left = random.between(1, MAX_RESHARDINGS); left > 0; left--) {
    const before = plans.at(-1)?.atMs;
    const isQuick = random.chance(IN_QUICK_SUCCESSION);
    const soonMs = random.between(0, QUICK_MS);
    const atMs = random.between(500, calmAtMs);
    plans.push({
      atMs: isQuick && before !== undefined ? before + soonMs : atMs,
      shards: drawNumber(random),
    });
  }
  return plans;
}

function drawNumber(random: Random): number {
  return Number(random.weighted(NUMBERS));
}
