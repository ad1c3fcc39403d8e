/** Which steps of a finished run a replay need not execute again. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StepNode } from "../../database/read-originals.ts";
import { reusableSteps } from "../../workers/definitions/reusable-steps.ts";

/** A diamond, 0 → 1, 2 → 3, and a step 4 beside it. */
const STEPS: StepNode[] = [[], [0], [0], [1, 2], []].map((parents, step) => ({
  step,
  name: `s${step}`,
  parents,
}));
const ALL = [0, 1, 2, 3, 4];

describe("from a step,", () => {
  test.each([
    ["the first, only what doesn't depend on it is reused", 0, [4]],
    ["one in the middle, its parents and its siblings are reused", 1, [0, 2, 4]],
    ["the last, all others are reused", 3, [0, 1, 2, 4]],
    ["one that stands alone, all others are reused", 4, [0, 1, 2, 3]],
  ])("%s", (_what, first, reused) => {
    expect(reusableSteps(STEPS, { completed: ALL, compensated: [] }, first)).toEqual(reused);
  });

  test("steps above it that were not completed are executed as well, and all below them", () => {
    expect(reusableSteps(STEPS, { completed: [0, 2, 4], compensated: [] }, 3)).toEqual([0, 2, 4]);
    expect(reusableSteps(STEPS, { completed: [4], compensated: [] }, 3)).toEqual([4]);
  });
});

describe("from what failed,", () => {
  test("everything completed is reused that is not below something that was not", () => {
    expect(reusableSteps(STEPS, { completed: [0, 1, 4], compensated: [] })).toEqual([0, 1, 4]);
    // As when a run is a replay itself, and its steps ended in another order.
    expect(reusableSteps(STEPS, { completed: [1, 2, 3], compensated: [] })).toEqual([]);
  });

  test("a step that was undone is executed again, with all below it", () => {
    expect(reusableSteps(STEPS, { completed: ALL, compensated: [2] })).toEqual([0, 1, 4]);
    expect(reusableSteps(STEPS, { completed: ALL, compensated: [0] })).toEqual([4]);
  });

  test("a run in which nothing was completed is executed whole", () => {
    expect(reusableSteps(STEPS, { completed: [], compensated: [] })).toEqual([]);
  });
});

const graph = fc.integer({ min: 1, max: 10 }).chain((size) =>
  fc.record({
    steps: fc
      .array(fc.tuple(fc.nat(size - 1), fc.nat(size - 1)), { maxLength: 20 })
      .map((edges): StepNode[] =>
        Array.from({ length: size }, (_, step) => ({
          step,
          name: `s${step}`,
          parents: [
            ...new Set(
              edges.filter(([to, from]) => to === step && from < to).map(([, from]) => from),
            ),
          ],
        })),
      ),
    completed: fc.uniqueArray(fc.nat(size - 1)),
    compensated: fc.uniqueArray(fc.nat(size - 1)),
    first: fc.option(fc.nat(size - 1), { nil: undefined }),
  }),
);

test("whatever is executed again takes all that depends on it along, and nothing else", () => {
  fc.assert(
    fc.property(graph, ({ steps, completed, compensated, first }) => {
      // Found the other way round: from what must be executed, down to all below it.
      const executed = new Set(
        steps
          .map(({ step }) => step)
          .filter(
            (step) => step === first || compensated.includes(step) || !completed.includes(step),
          ),
      );
      for (const step of executed) {
        for (const below of steps) if (below.parents.includes(step)) executed.add(below.step);
      }
      const expected = steps.map(({ step }) => step).filter((step) => !executed.has(step));
      expect(reusableSteps(steps, { completed, compensated }, first)).toEqual(expected);
    }),
  );
});

test("the deepest DAG that is allowed is decided in reasonable time", () => {
  const steps = Array.from({ length: 500 }, (_, step): StepNode => ({
    step,
    name: `s${step}`,
    parents: Array.from({ length: step }, (_, parent) => parent),
  }));
  const completed = steps.map(({ step }) => step);
  expect(reusableSteps(steps, { completed, compensated: [] }, 499)).toHaveLength(499);
}, 5_000);
