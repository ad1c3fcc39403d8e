/** What is stored beside a definition for dispatch, and what is wrong with its limits. */
import { expect, test } from "vitest";
import type { WorkflowDefinition } from "../../protocol/http.ts";
import { ProblemError } from "../../workers/api/problems.ts";
import { refuseUnknownLimits, rowsOf } from "../../workers/definitions/registration.ts";

const compensated = { name: "a", compensate: {} };

function refusalOf(call: () => unknown): ProblemError {
  try {
    call();
  } catch (error) {
    if (error instanceof ProblemError) return error;
    throw error;
  }
  throw new Error("It was not refused");
}

test("what is as by default is not stored", () => {
  const rows = rowsOf({
    name: "flow",
    priority: 2,
    sticky: "none",
    limits: [],
    steps: [{ name: "a", slots: 1, labels: {}, limits: [] }],
  });
  expect(rows.dispatch).toBeUndefined();
  expect(rows.limits).toBeUndefined();
  expect(rows.dag[0]?.dispatch).toBeUndefined();
});

test("limits, priority, slots and labels are stored where dispatch looks for them", () => {
  const limits = [{ concurrency: 2, key: "input.a" }];
  const labels = { gpu: { value: "a100", isRequired: true } };
  const rows = rowsOf({
    name: "flow",
    priority: 3,
    limits,
    steps: [{ name: "a", slots: 4, labels, limits: [{ limit: "llm" }] }, { name: "b" }],
  });
  expect(rows.dispatch).toEqual({ limits, priority: 3 });
  expect(rows.dag.map(({ dispatch }) => dispatch)).toEqual([
    { slots: 4, labels, limits: [{ limit: "llm" }] },
    undefined,
  ]);
});

test("stored limits that are named anywhere are told once each", () => {
  const rows = rowsOf({
    name: "flow",
    limits: [{ limit: "runs" }, { concurrency: 1 }],
    steps: [
      { name: "a", limits: [{ limit: "llm" }, { limit: "runs", key: "input.b" }] },
      { name: "b", limits: [{ limit: "llm" }] },
    ],
  });
  expect(rows.limits).toEqual(["runs", "llm"]);
});

test("what comes after a failure never waits for one worker alone", () => {
  const definition: WorkflowDefinition = { name: "flow", steps: [compensated], onFailure: {} };
  const dispatchOf = (sticky: "none" | "soft" | "hard") =>
    rowsOf({ ...definition, sticky }).dag.map(({ dispatch }) => dispatch?.sticky);
  expect(dispatchOf("hard")).toEqual(["hard", "soft", "soft"]);
  expect(dispatchOf("soft")).toEqual(["soft", "soft", "soft"]);
  expect(dispatchOf("none")).toEqual([undefined, undefined, undefined]);
});

test("every expression of a limit that is wrong is told, with its place", () => {
  const { code, fields } = refusalOf(() =>
    rowsOf({
      name: "flow",
      limits: [{ concurrency: 1, key: "parents.a.id" }],
      steps: [
        { name: "a" },
        {
          name: "b",
          parents: ["a"],
          limits: [
            { concurrency: 1, key: "parents.a.id" },
            { rate: [{ units: 1, perMs: 1 }], key: "input.a &&", units: '"x"', weight: "inptu.w" },
          ],
        },
      ],
    }),
  );
  expect(code).toBe("invalid_workflow");
  expect(fields?.map((field) => [field.path, field.code])).toEqual([
    ["limits[0].key", "unknown_variable"],
    ["steps[1].limits[1].key", "syntax_error"],
    ["steps[1].limits[1].units", "wrong_result"],
    ["steps[1].limits[1].weight", "unknown_variable"],
  ]);
  for (const field of fields ?? []) expect(field.excerpt).toMatch(/\n *\^$/);
});

test("stored limits that are not there are told wherever they are named", () => {
  const definition: WorkflowDefinition = {
    name: "flow",
    limits: [{ limit: "known" }, { limit: "gone" }],
    steps: [{ name: "a", limits: [{ limit: "gone", key: "input.a" }] }],
  };
  const { code, message, fields } = refusalOf(() => refuseUnknownLimits(definition, ["gone"]));
  expect(code).toBe("invalid_workflow");
  expect(fields?.map(({ path }) => path)).toEqual(["limits[1].limit", "steps[0].limits[0].limit"]);
  expect(message).toBe(
    'In the body, limits[1].limit: there is no limit "gone": store it first, with PUT /api/v1/limits/gone (and 1 more).',
  );
});
