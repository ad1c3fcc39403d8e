/** Runs and definitions that they are held against: steps that come and go, conditions, and runs that were cancelled. */
import type { RunExport } from "../../protocol/history-bodies.ts";
import type { StepDefinition, WorkflowDefinition } from "../../protocol/http.ts";
import { type Ends, neverRun } from "../support/exported-run.ts";

export const flow = (
  steps: Record<string, Omit<StepDefinition, "name">>,
  rest: Partial<WorkflowDefinition> = {},
): WorkflowDefinition => ({
  name: "flow",
  steps: Object.entries(steps).map(([name, step]) => ({ name, ...step })),
  ...rest,
});

export const CHAIN = { a: {}, b: { parents: ["a"] }, c: { parents: ["b"] } };
const SKIPPED = neverRun("skipped", "Its runIf is false.");
export const CANCELLED = neverRun("cancelled");

/** A definition, what it made of a run, and the kinds of divergence from others. */
export interface Story {
  definition: WorkflowDefinition;
  ends: Ends;
  parts?: Partial<RunExport["run"]>;
  rest?: Partial<RunExport>;
  others: [string, WorkflowDefinition, string[]][];
}

const cancelled = (message: string): Partial<RunExport["run"]> => ({
  state: "cancelled",
  error: { code: "cancelled", name: "Cancelled", message },
});

export const STORIES: Record<string, Story> = {
  "steps that come, go and change places": {
    definition: flow(CHAIN),
    ends: { a: { output: 1 }, b: { output: 2 } },
    others: [
      [
        "with other descriptions and limits",
        flow({ ...CHAIN, b: { parents: ["a"], slots: 2 } }, { description: "x", priority: 3 }),
        [],
      ],
      ["with a new one", flow({ ...CHAIN, d: { parents: ["c"] } }), ["d step_added"]],
      [
        "with a new one in between",
        flow({ ...CHAIN, n: { parents: ["a"] }, b: { parents: ["n"] } }),
        ["n step_added", "b parents_changed", "b parents_changed"],
      ],
      ["without the last", flow({ a: {}, b: { parents: ["a"] } }), ["c step_removed"]],
      [
        "renamed",
        flow({ a: {}, b: { parents: ["a"] }, last: { parents: ["b"] } }),
        ["last step_added", "c step_removed"],
      ],
      ["in parallel", flow({ a: {}, b: {}, c: { parents: ["a", "b"] } }), ["b parents_changed"]],
      ["with a parent that had ended before", flow({ ...CHAIN, c: { parents: ["a", "b"] } }), []],
      [
        "with a parent that had not",
        flow({ a: { parents: ["c"] }, b: {}, c: { parents: ["b"] } }),
        ["b parents_changed", "a parents_changed"],
      ],
      [
        "by another handler",
        flow({ ...CHAIN, b: { parents: ["a"], action: "shared" } }),
        ["b action_changed"],
      ],
    ],
  },
  conditions: {
    definition: flow({
      a: {},
      b: { parents: ["a"], runIf: "parents.a > 5" },
      c: { parents: ["a", "b"] },
    }),
    ends: { a: { output: 3 }, b: SKIPPED },
    others: [
      [
        "the same, said otherwise",
        flow({
          a: {},
          b: { parents: ["a"], skipIf: "parents.a <= 5" },
          c: { parents: ["a", "b"] },
        }),
        [],
      ],
      [
        "that let what was skipped",
        flow({ a: {}, b: { parents: ["a"], runIf: "parents.a > 1" }, c: { parents: ["a", "b"] } }),
        ["b step_run"],
      ],
      [
        "that skip what ran",
        flow({
          a: {},
          b: { parents: ["a"], runIf: "parents.a > 5" },
          c: { parents: ["a", "b"], skipIf: "!has(parents.b)" },
        }),
        ["c step_skipped"],
      ],
      [
        "that can't be evaluated",
        flow({
          a: {},
          b: { parents: ["a"], runIf: "parents.a.size > 5" },
          c: { parents: ["a", "b"] },
        }),
        ["b condition_failed", "c step_not_run", "end_changed"],
      ],
      [
        "that would cancel",
        flow({
          a: {},
          b: { parents: ["a"], runIf: "parents.a > 5" },
          c: { parents: ["a", "b"], cancelIf: "input == null" },
        }),
        ["c run_cancelled", "end_changed"],
      ],
      [
        "that need what nobody recorded",
        flow({ a: {}, b: { parents: ["a"] }, c: { parents: ["a", "b"], runIf: "parents.b > 1" } }),
        ["b step_run", "c undecided"],
      ],
      [
        "that don't need it",
        flow({
          a: {},
          b: { parents: ["a"] },
          c: { parents: ["a", "b"], skipIf: "parents.a == 3" },
        }),
        ["b step_run", "c step_skipped"],
      ],
    ],
  },
  "a condition that cancelled": {
    definition: flow({
      a: {},
      b: { parents: ["a"], cancelIf: "parents.a == 3" },
      c: { parents: ["b"] },
    }),
    ends: { a: { output: 3 }, b: CANCELLED, c: CANCELLED },
    parts: cancelled('The run was cancelled by step "b": Its cancelIf is true.'),
    others: [
      [
        "and would not",
        flow({ a: {}, b: { parents: ["a"] }, c: { parents: ["b"] } }),
        ["b run_not_cancelled"],
      ],
      [
        "and would skip",
        flow({ a: {}, b: { parents: ["a"], skipIf: "true" } }),
        ["b run_not_cancelled", "end_changed"],
      ],
    ],
  },
  "a run that was cancelled from outside": {
    definition: flow(CHAIN),
    ends: { a: {}, b: CANCELLED, c: CANCELLED },
    parts: cancelled("The run was cancelled."),
    others: [["with another end", flow({ a: {}, b: { parents: ["a"], skipIf: "true" } }), []]],
  },
};
