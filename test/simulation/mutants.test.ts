/** The simulation notices what it is there for: each mutant of the product breaks its promise. */
import { availableParallelism } from "node:os";
import { describe, expect, test } from "vitest";
import { Crew, isFailure } from "./crew.ts";
import { type Mutant, MUTANTS } from "./mutants.ts";

/** Within so many seeds a mutant is found. */
const MAX_SEEDS = 100;

const FIRST_SEED = 1;

const LIMIT_MS = 240_000;

describe("the simulation finds that", () => {
  test.each(MUTANTS)(
    "$name",
    async (mutant) => {
      expect(await findersOf(mutant)).toEqual(expect.arrayContaining([expect.any(String)]));
    },
    LIMIT_MS,
  );
});

/** The checks that found it and were meant to; runs seeds until there is one. */
async function findersOf(mutant: Mutant): Promise<string[]> {
  const found = new Set<string>();
  const failures: string[] = [];
  const first = mutant.firstSeed ?? FIRST_SEED;
  let seed = first;
  const crew = new Crew({ threads: availableParallelism(), mutant });
  await crew.run(
    () => {
      if (found.size > 0 || failures.length > 0 || seed >= first + MAX_SEEDS) return undefined;
      return { seed: seed++, theme: mutant.theme, shards: mutant.shards ?? "one" };
    },
    (outcome) => {
      if (isFailure(outcome)) failures.push(outcome.error);
      else
        for (const { check } of outcome.findings)
          if (mutant.foundBy.includes(check)) found.add(check);
    },
  );
  await crew.stop();
  if (failures.length > 0) throw new Error(failures.join("\n"));
  return [...found];
}
