/**
 * The shard's bounds, turned down for some seeds, so that a handful of runs meets what it otherwise
 * takes thousands to meet: full windows, spilled tasks, second flights, carried handouts.
 */
import * as limits from "../../durable-objects/dispatcher/limits.ts";
import type { Random } from "./random.ts";
import type { Span } from "./weather.ts";

/** What a bound may be turned down to. */
const RANGES = {
  MAX_BATCH: [1, 5],
  MAX_BATCH_BYTES: [300, 2_000],
  SECOND_FLIGHT_AT: [1, 3],
  MAX_PENDING_BYTES: [300, 3_000],
  MAX_WINDOW: [1, 5],
  MAX_PLAIN_LANE: [1, 3],
  MAX_WINDOW_BYTES: [200, 2_000],
  MAX_TAKE: [2, 4],
  MAX_OPEN_HANDOUTS: [2, 6],
  MAX_FINISHED: [1, 2],
  MAX_WAITERS: [1, 3],
} satisfies { [Name in keyof typeof limits]?: Span };

export type Knobs = { [Name in keyof typeof RANGES]?: number };

/** In how many seeds any is turned, and how many of them then. */
const TURNED_SEEDS = 0.4;
const TURNED_KNOBS = 0.4;

export function drawKnobs(random: Random): Knobs {
  const isTurned = random.chance(TURNED_SEEDS);
  return Object.fromEntries(
    Object.entries(RANGES)
      .map(([name, [least, most]]) => [
        name,
        random.chance(TURNED_KNOBS) && isTurned ? random.between(least, most) : undefined,
      ])
      .filter(([, value]) => value !== undefined),
  ) as Knobs;
}

/** Turns them, and every other one back. The hook gives it to the module: see `module-hooks.ts`. */
export function turnKnobs(knobs: Knobs): void {
  (limits as unknown as { turnKnobs: (knobs: Knobs) => void }).turnKnobs(knobs);
}
