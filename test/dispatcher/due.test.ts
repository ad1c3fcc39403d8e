/** What a timer that is due makes happen. */
import { expect, test } from "vitest";
import { isRunTimer, transitionOf } from "../../durable-objects/dispatcher/due.ts";
import { newRunId, taskId } from "../../protocol/ids.ts";

const RUN = newRunId();

test("a backoff that is over names the task and its run", () => {
  const id = taskId(RUN, 3);
  expect(transitionOf({ id, k: "retry", d: 0 })).toMatchObject({
    kind: "wake",
    row: { t: id, r: RUN },
  });
});

test.each([
  ["timeout", "cancel", { r: RUN, e: { code: "run_timeout", name: "RunTimeout" } }],
  ["cancel", "cancel", { r: RUN, e: { code: "cancelled", name: "Cancelled" } }],
  ["release", "release", { r: RUN }],
] as const)("a %s timer of a run makes a %s", (k, kind, row) => {
  expect(transitionOf({ id: RUN, k, d: 0 })).toMatchObject({ kind, row });
});

test("a timer of an event is another's affair", () => {
  expect(isRunTimer({ id: RUN, k: "match", d: 0 })).toBe(false);
});
