/** What differs between two definitions, as a person would tell it. */
import { describe, expect, test } from "vitest";
import type { StepDefinition, WorkflowDefinition } from "../../protocol/http.ts";
import { diffDefinitions } from "../../workers/definitions/diff.ts";

const BASE: WorkflowDefinition = {
  name: "order",
  steps: [{ name: "charge" }, { name: "ship", parents: ["charge"] }],
};
const with_ = (more: Partial<WorkflowDefinition>): WorkflowDefinition => ({ ...BASE, ...more });
const ship = (more: Partial<StepDefinition>): WorkflowDefinition =>
  with_({ steps: [{ name: "charge" }, { name: "ship", parents: ["charge"], ...more }] });

const SAME = { isSame: true, workflow: [], steps: { added: [], removed: [], changed: [] } };

describe("there is no difference", () => {
  test.each<[string, WorkflowDefinition]>([
    ["in itself", BASE],
    ["in defaults that are written down", with_({ priority: 2, sticky: "none", events: [] })],
    ["in a step's defaults", ship({ timeoutMs: 60_000, retries: 0, slots: 1, labels: {} })],
    ["in an action by its own name", ship({ action: "order:ship" })],
    ["in the order of steps", with_({ steps: BASE.steps.toReversed() })],
  ])("%s", (_, other) => {
    expect(diffDefinitions(BASE, other)).toEqual(SAME);
    expect(diffDefinitions(other, BASE)).toEqual(SAME);
  });
});

describe("it is told", () => {
  const changesOf = (from: WorkflowDefinition, to: WorkflowDefinition): unknown =>
    diffDefinitions(from, to).steps.changed;

  test("which steps were added and removed", () => {
    const other = with_({ steps: [{ name: "charge" }, { name: "send", parents: ["charge"] }] });
    expect(diffDefinitions(BASE, other)).toMatchObject({
      isSame: false,
      steps: { added: ["send"], removed: ["ship"], changed: [] },
    });
  });

  test("which parents", () => {
    expect(changesOf(BASE, ship({ parents: [] }))).toEqual([
      { name: "ship", differences: [{ path: "parents", from: ["charge"], to: [] }] },
    ]);
  });

  test("what of a policy, with its defaults", () => {
    const patient = ship({ retries: 3, backoff: { initialMs: 500 } });
    expect(changesOf(patient, ship({ retries: 5 }))).toEqual([
      {
        name: "ship",
        differences: [
          { path: "backoff.initialMs", from: 500, to: 1_000 },
          { path: "retries", from: 3, to: 5 },
        ],
      },
    ]);
  });

  test("where in a list, and in what undoes a step", () => {
    const one = ship({ limits: [{ concurrency: 1 }], compensate: {} });
    const two = ship({ limits: [{ concurrency: 2, key: "input.id" }, { limit: "pool" }] });
    expect(changesOf(one, two)).toEqual([
      {
        name: "ship",
        differences: [
          { path: "compensate", from: { timeoutMs: 60_000, retries: 0 } },
          { path: "limits[0].concurrency", from: 1, to: 2 },
          { path: "limits[0].key", to: "input.id" },
          { path: "limits[1]", to: { limit: "pool" } },
        ],
      },
    ]);
  });

  test("what of the workflow", () => {
    const more = { description: "all", versioning: "pinned", onFailure: {} } as const;
    expect(diffDefinitions(BASE, with_({ ...more, events: ["a"] })).workflow).toEqual([
      { path: "description", to: "all" },
      { path: "events", from: [], to: ["a"] },
      { path: "onFailure", to: { timeoutMs: 60_000, retries: 0 } },
      { path: "versioning", from: "compatible", to: "pinned" },
    ]);
  });
});
