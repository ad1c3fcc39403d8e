/** Steps as a DAG: what is made of good ones, what is said of bad ones. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { FieldError } from "../../protocol/errors.ts";
import type { StepDefinition } from "../../protocol/http.ts";
import { DEFAULT_TIMEOUT_MS, MAX_STEPS } from "../../protocol/limits.ts";
import { buildDag, type DagRow } from "../../workers/definitions/dag.ts";

function rowsOf(steps: StepDefinition[]): DagRow[] {
  const dag = buildDag({ name: "flow", steps });
  if ("findings" in dag) throw new Error(JSON.stringify(dag.findings));
  return dag.rows;
}

function findingsOf(steps: StepDefinition[]): FieldError[] {
  const dag = buildDag({ name: "flow", steps });
  return "findings" in dag ? dag.findings : [];
}

test("a diamond's steps know their parents, children and descendants by number", () => {
  const rows = rowsOf([
    { name: "top" },
    { name: "left", parents: ["top"] },
    { name: "right", parents: ["top"] },
    { name: "bottom", parents: ["left", "right"] },
  ]);
  expect(rows.map(({ parents }) => parents)).toEqual([[], [0], [0], [1, 2]]);
  expect(rows.map(({ children }) => children)).toEqual([[1, 2], [3], [3], []]);
  expect(rows.map(({ descendants }) => descendants)).toEqual([[1, 2, 3], [3], [3], []]);
});

test("a step has its workflow's action and a minute, unless it says otherwise", () => {
  const rows = rowsOf([{ name: "a" }, { name: "b", action: "shared.fetch", timeoutMs: 5 }]);
  expect(rows[0]).toMatchObject({ action: "flow:a", timeout: DEFAULT_TIMEOUT_MS });
  expect(rows[1]).toMatchObject({ action: "shared.fetch", timeout: 5 });
});

test("steps may stand in any order, children before their parents", () => {
  const rows = rowsOf([{ name: "last", parents: ["first"] }, { name: "first" }]);
  expect(rows.map(({ parents }) => parents)).toEqual([[1], []]);
});

test("steps may be named as what every object has", () => {
  const rows = rowsOf([{ name: "constructor" }, { name: "toString", parents: ["constructor"] }]);
  expect(rows[1]?.parents).toEqual([0]);
  expect(findingsOf([{ name: "a", parents: ["valueOf"] }])).toHaveLength(1);
});

describe("what is wrong is told with its place:", () => {
  test("a cycle, by the names along it, without the steps that only lead to it or hang below", () => {
    const [finding, ...rest] = findingsOf([
      { name: "below", parents: ["x"] },
      { name: "x", parents: ["above", "z"] },
      { name: "y", parents: ["x"] },
      { name: "z", parents: ["y"] },
      { name: "above" },
    ]);
    expect(rest).toEqual([]);
    expect(finding).toEqual({
      path: "steps[1].parents",
      message: 'the steps form a cycle: "x" → "y" → "z" → "x"',
    });
  });

  test("a step that is its own parent", () => {
    expect(findingsOf([{ name: "a", parents: ["a"] }])).toEqual([
      { path: "steps[0].parents", message: 'the steps form a cycle: "a" → "a"' },
    ]);
  });

  test("unknown parents, repeated parents and repeated names, all at once", () => {
    const paths = findingsOf([
      { name: "a", parents: ["nobody"] },
      { name: "b", parents: ["a", "a"] },
      { name: "a" },
    ]).map(({ path }) => path);
    expect(paths.toSorted()).toEqual([
      "steps[0].parents[0]",
      "steps[1].parents[1]",
      "steps[2].name",
    ]);
  });
});

test("the densest DAG that is allowed is built in reasonable time, in whatever order its steps are", () => {
  const names = Array.from({ length: MAX_STEPS }, (_, n) => `s${n}`);
  const steps = names.map((name, n) => ({ name, parents: names.slice(0, n) }));
  for (const order of [steps, steps.toReversed()]) {
    const first = rowsOf(order).find(({ parents }) => parents.length === 0);
    expect(first?.descendants).toHaveLength(MAX_STEPS - 1);
  }
}, 5_000);

const graph = fc.integer({ min: 1, max: 12 }).chain((size) =>
  fc.array(fc.tuple(fc.nat(size - 1), fc.nat(size - 1)), { maxLength: 30 }).map((edges) =>
    Array.from({ length: size }, (_, step) => ({
      name: `s${step}`,
      parents: [...new Set(edges.filter(([to]) => to === step).map(([, from]) => `s${from}`))],
    })),
  ),
);

/** Everything reachable along children, found the slow way. */
function reach(steps: StepDefinition[], from: string): Set<string> {
  const found = new Set<string>();
  const ahead = [from];
  for (const name of ahead) {
    for (const { name: child, parents = [] } of steps) {
      if (!parents.includes(name) || found.has(child)) continue;
      found.add(child);
      ahead.push(child);
    }
  }
  return found;
}

test("steps are refused exactly when one can be reached from itself, and else know all below them", () => {
  fc.assert(
    fc.property(graph, (steps) => {
      const below = steps.map(({ name }) => reach(steps, name));
      const isCyclic = steps.some(({ name }, step) => below[step]?.has(name));
      const dag = buildDag({ name: "flow", steps });
      expect("findings" in dag).toBe(isCyclic);
      if ("findings" in dag) return;
      for (const [step, { descendants }] of dag.rows.entries()) {
        expect(descendants.map((number) => steps[number]?.name)).toEqual(
          steps.map(({ name }) => name).filter((name) => below[step]?.has(name)),
        );
      }
    }),
  );
});
