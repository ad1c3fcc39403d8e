/** What a task needs, where its own data says how much. */
import { expect, test } from "vitest";
import type { LimitUse } from "../../protocol/limit-bodies.ts";
import { LimitBook } from "../../durable-objects/dispatcher/limit-book.ts";
import { createLimitExpressions } from "../../durable-objects/dispatcher/limit-expressions.ts";
import { needsOf, type NeedsOf } from "../../durable-objects/dispatcher/needs.ts";

function needsWith(limits: LimitUse[], input: { [field: string]: number }): NeedsOf {
  const step = {
    name: "only",
    action: "job:only",
    kind: "step" as const,
    isRoot: true,
    children: [],
    timeoutMs: 1_000,
    dispatch: { limits },
  };
  const version = { id: "v", workflow: "job", workflowId: "w", number: 1, steps: [step] };
  const task = { input, metadata: {}, parents: {} };
  return needsOf(task, version, step, new LimitBook(), createLimitExpressions());
}

test.each([
  [1e9, 1_000],
  [1e-300, 0.001],
  [2, 2],
])("a weight that the data makes %d counts as %d: no key starves for good", (weight, counted) => {
  const found = needsWith([{ key: "'a'", weight: "input.weight" }], { weight });
  expect(found).toMatchObject({ ok: true, needs: { weight: counted } });
});

test.each([0, -1, 1e300])("units that the data makes %d fail the task", (units) => {
  const found = needsWith([{ rate: [{ units: 1, perMs: 1 }], units: "input.units" }], { units });
  expect(found).toEqual({
    ok: false,
    message: expect.stringMatching(/^The units of limit job:only#1: It answers .* more than 0/),
  });
});
