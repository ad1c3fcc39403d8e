/**
 * The whole of Skein under a virtual clock, on seeds that are new each time: whatever is thrown at
 * it, every promise is kept. A seed that breaks one is printed with the command that repeats it.
 */
import { availableParallelism } from "node:os";
import { expect, test } from "vitest";
import { Crew, isFailure, type Outcome } from "./crew.ts";
import { describeBroken, Tally } from "./tally.ts";

/** How long new seeds are run. */
const SEEDS_MS = 120_000;

/** The last seeds are let end, and threads start. */
const MARGIN_MS = 150_000;

const MAX_FIRST_SEED = 1_000_000_000;

/** Whose traces are compared: of several kinds of bad days. */
const REPEATED_SEEDS = [1, 2, 3, 6, 202];

test(
  "every promise is kept, whatever goes wrong",
  async () => {
    const first = Math.floor(Math.random() * MAX_FIRST_SEED);
    const deadline = performance.now() + SEEDS_MS;
    const tally = new Tally();
    let given = 0;
    const crew = new Crew({ threads: availableParallelism() });
    await crew.run(
      () => (performance.now() < deadline ? { seed: first + given++ } : undefined),
      (outcome) => tally.add(outcome),
    );
    await crew.stop();
    console.log(`${tally.seeds} seeds from ${first}\n\n${tally.table()}`);
    expect(tally.broken.map((broken) => describeBroken(broken)).join("\n\n")).toBe("");
    expect(tally.seeds).toBeGreaterThan(0);
  },
  SEEDS_MS + MARGIN_MS,
);

test(
  "a seed is the same story each time",
  async () => {
    const once = await hashesOf(REPEATED_SEEDS);
    const again = await hashesOf(REPEATED_SEEDS.toReversed());
    expect(again.toReversed()).toEqual(once);
  },
  MARGIN_MS,
);

/** By one thread, one after another: what a seed leaves behind must not change the next. */
async function hashesOf(seeds: readonly number[]): Promise<string[]> {
  const left = [...seeds];
  const outcomes: Outcome[] = [];
  const crew = new Crew({ threads: 1 });
  await crew.run(
    () => {
      const seed = left.shift();
      return seed === undefined ? undefined : { seed };
    },
    (outcome) => outcomes.push(outcome),
  );
  await crew.stop();
  return outcomes.map((outcome) => (isFailure(outcome) ? describeBroken(outcome) : outcome.hash));
}
