/** What the checks of attempts make of a recorded task: every true history is let pass, no other. */
import { expect, test } from "vitest";
import type { TaskState } from "../../../protocol/states.ts";
import { History } from "../history.ts";
import { Trace } from "../trace.ts";
import { attemptsHaveNoGaps } from "./attempts.ts";
import type { Evidence } from "./check.ts";

const RUN = "0190a000-0000-7000-8000-000000000000";
const TASK = "0190a000-0000-7000-8000-000000000001";

/** What is wrong with a task in this state, with so many attempts, and these in its history. */
function broken(
  state: TaskState,
  attempt: number,
  kept: number[],
  worker: string | null,
): string[] {
  const clock = { now: 0 };
  const task = { id: TASK, run: RUN, step: 0, state, attempt, worker };
  const recorded = {
    runs: [{ id: RUN, version: "version", tasks: [task] }],
    steps: [{ version: "version", step: 0, name: "s0", kind: "step" }],
    attempts: kept.map((number) => ({ task: TASK, attempt: number })),
  };
  const history = new History(new Trace(clock), clock);
  return attemptsHaveNoGaps.find({ history, recorded } as unknown as Evidence);
}

test.each<[TaskState, number, number[], string | null, boolean]>([
  ["completed", 2, [1], "w", true],
  ["completed", 2, [1, 2], "w", false],
  ["completed", 2, [], "w", false],
  ["queued", 1, [1], null, true],
  ["queued", 1, [], null, false],
  ["cancelled", 2, [1], "w", true],
  ["cancelled", 1, [1], null, true],
  ["skipped", 0, [], null, true],
  ["skipped", 1, [1], null, true],
  ["skipped", 1, [], null, false],
])(
  "a task that is %s after %i attempts, with %j before: %s, %s",
  (state, attempt, kept, worker, isTrue) => {
    expect(broken(state, attempt, kept, worker)).toHaveLength(isTrue ? 0 : 1);
  },
);
