/** How many shards a scenario has, and when somebody wants more or fewer. */
import type { Random } from "./random.ts";

/** Another number of shards, wanted at a moment. */
export interface ReshardingPlan {
  atMs: number;
  shards: number;
}

export interface ShardPlan {
  /** How many there are at first. */
  shards: number;
  reshardings: ReshardingPlan[];
}

const ONE_SHARD: ShardPlan = { shards: 1, reshardings: [] };

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
  const isMany = asked === undefined ? hasMany : asked === "many";
  return isMany ? { shards, reshardings: changes ? reshardings : [] } : ONE_SHARD;
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
