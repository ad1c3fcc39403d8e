/** What the checks of order and ends make of recorded runs: every true end is let pass, no other. */
import { expect, test } from "vitest";
import type { TaskErrorCode } from "../../../protocol/errors.ts";
import type { StepKind, TaskState } from "../../../protocol/states.ts";
import { History } from "../history.ts";
import type { RecordedRun, RecordedStep, RecordedTask } from "../record.ts";
import { Trace } from "../trace.ts";
import type { Evidence } from "./check.ts";
import { runsEndAsTheirTasks } from "./order.ts";

type End = Pick<RecordedRun, "state" | "failed"> & { code?: TaskErrorCode };

/** What is wrong with a run that ended so, with tasks of these kinds. */
function broken({ state, failed, code }: End, tasks: [StepKind, TaskState][]): string[] {
  const run = "0190a000-0000-7000-8000-000000000000";
  const clock = { now: 0 };
  const recorded = {
    runs: [
      {
        id: run,
        version: "version",
        state,
        failed,
        remaining: 0,
        metadata: {},
        event: null,
        parent: null,
        key: null,
        finishedAt: 1,
        error: code === undefined ? null : { code, name: "Ended", message: "" },
        tasks: tasks.map(([, ended], step): RecordedTask => {
          const times = { queuedAt: 0, startedAt: 0, finishedAt: 1 };
          const id = run.slice(0, -4) + String(step + 1).padStart(4, "0");
          const rest = { attempt: 1, worker: null, error: null, output: null, rescues: 0 };
          return { id, run, step, state: ended, ...rest, ...times };
        }),
      },
    ],
    steps: tasks.map(([kind], step): RecordedStep => {
      const plan = { version: "version", step, name: `s${step}`, action: "w:a", parents: [], kind };
      return { ...plan, timeoutMs: 1, scheduleTimeoutMs: null, compensates: null, retry: null };
    }),
    attempts: [],
    children: [],
    lines: [],
    handouts: 0,
    queued: 0,
    timers: 0,
    matches: 0,
  };
  const history = new History(new Trace(clock), clock);
  return runsEndAsTheirTasks.find({ history, recorded } as unknown as Evidence);
}

test("a run that took too long may be cancelled while it unwinds", () => {
  const end: End = { state: "cancelled", failed: 1, code: "cancelled" };
  expect(
    broken(end, [
      ["step", "cancelled"],
      ["on_failure", "cancelled"],
    ]),
  ).toEqual([]);
});

test("a cancelled run with a failure that nobody had, and no unwinding, is found", () => {
  const end: End = { state: "cancelled", failed: 1, code: "cancelled" };
  expect(broken(end, [["step", "cancelled"]])).toEqual([
    "r1 is cancelled (0 left) with s0 cancelled",
  ]);
  expect(broken({ ...end, failed: 0 }, [["step", "cancelled"]])).toEqual([]);
});

test("a late run that counts no failure is found", () => {
  const end: End = { state: "failed", failed: 0, code: "run_timeout" };
  expect(broken(end, [["step", "cancelled"]])).toHaveLength(1);
  expect(broken({ ...end, failed: 1 }, [["step", "cancelled"]])).toEqual([]);
});
