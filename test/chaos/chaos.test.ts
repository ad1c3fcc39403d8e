/**
 * Chaos in CI: the same 10,000 runs as `npm run chaos`, every kind a story of its own. Real time and
 * real processes; nothing is thrown at a moment of the clock, but where so much work has been done.
 */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { split } from "../../bench/statistics.ts";
import { checkLeftovers } from "./checker.ts";
import { playEvents } from "./events.ts";
import { KINDS } from "./kinds.ts";
import { type Outcome, play } from "./play.ts";
import { SeededRandom } from "./random.ts";
import { describeOutcomes } from "./report.ts";
import { ChaosWorld } from "./world.ts";

const RUNS = 10_000;
/** A kind that does not come to its end is judged before that. */
const TIMEOUT_MS = 180_000;
const KEPT = { lost: [], double: [], stuck: [], wrong: [], crowded: [] };

const seed = randomBytes(4).toString("hex");
const shares = split(Array.from({ length: RUNS }), KINDS.length);

describe.skipIf(inject("main").name !== "Postgres")(`chaos from seed ${seed}`, () => {
  const outcomes: Outcome[] = [];
  let world: ChaosWorld;

  beforeAll(async () => {
    world = await ChaosWorld.start();
  });
  afterAll(async () => {
    await world?.stop();
    console.log(describeOutcomes(outcomes));
  });

  test.each(KINDS.map((kind, index) => ({ ...kind, runs: shares[index]?.length ?? 0 })))(
    "$promise",
    { timeout: TIMEOUT_MS },
    async ({ runs, ...kind }) => {
      const outcome = await play(world, kind, runs, new SeededRandom(seed));
      outcomes.push(outcome);
      const { late, ...verdict } = outcome.verdict;
      expect(verdict).toEqual(KEPT);
      // A machine that stalls makes a task late, but never half of them; `npm run chaos` is strict.
      expect(late.length).toBeLessThan(outcome.recoveries.length / 2);
      expect(outcome).toMatchObject({ runs });
      expect(outcome.thrown.length).toBeGreaterThanOrEqual(kind.volleys);
      expect(outcome.recoveries.length).toBeGreaterThan(0);
    },
  );

  test(
    "10,000 events published again and again while everything dies: each is stored once, and starts once",
    { timeout: TIMEOUT_MS },
    async () => {
      const random = new SeededRandom(seed).fork("events");
      const { breaches, ...outcome } = await playEvents(world, RUNS, random);
      console.log(JSON.stringify(outcome));
      expect(breaches).toEqual([]);
      expect(outcome.events).toBeGreaterThanOrEqual(RUNS);
      expect(outcome.accepted).toBeGreaterThan(RUNS / 10);
    },
  );

  test("when all is over, no shard has anything left in its hands", async () => {
    const left = await world.read((history) => history.leftoversWhenQuiet());
    expect(checkLeftovers(left)).toEqual([]);
  });
});
