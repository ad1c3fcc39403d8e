/** What the demonstration's exit code rests on: each broken promise must be seen and said. */
import type { Attempt, Run, Task } from "@skein/sdk";
import { expect, test } from "vitest";
import type { Effect } from "../../examples/github-triage/book.ts";
import { checkPromises, type Evidence } from "../../examples/github-triage/check.ts";
import { countFigures, percentile, startLatency } from "../../examples/github-triage/figures.ts";

const AT = "2026-01-02T03:04:05.000Z";

function attempt(number: number, outcome: Attempt["outcome"], worker: string): Attempt {
  return { attempt: number, outcome, worker, startedAt: AT, finishedAt: AT, error: null };
}

function task(step: string, parents: string[], attempts: Attempt[]): Task {
  return {
    id: `task-${step}`,
    step,
    kind: "step",
    action: `digest:${step}`,
    parents,
    state: "completed",
    attempts,
    output: { done: true },
    error: null,
    queuedAt: AT,
    startedAt: AT,
    finishedAt: AT,
    retryAt: null,
    waited: null,
    children: [],
  };
}

function digestRun(): Run & { tasks: [Task, Task] } {
  return {
    id: "run-1",
    workflow: "digest",
    version: 1,
    state: "completed",
    metadata: {},
    filterId: null,
    eventId: "event-1",
    replayOf: null,
    parent: null,
    scheduleId: null,
    scheduledFor: null,
    createdAt: AT,
    startsAt: null,
    startedAt: AT,
    finishedAt: AT,
    input: null,
    error: null,
    tasks: [
      task("summarise", [], [attempt(1, "lost", "worker-1"), attempt(2, "completed", "worker-2")]),
      task("count", ["summarise"], [attempt(1, "completed", "worker-2")]),
    ],
  };
}

function effect(step: string, fencingToken: number, worker: string): Effect {
  return { run: "run-1", step, fencingToken, worker };
}

function evidence(change: Partial<Evidence> = {}): Evidence {
  return {
    forged: { status: 401, refused: ["wrong_signature"] },
    published: [{ delivery: "star/0 of round 1", runs: ["run-1"], again: null }],
    runs: [digestRun()],
    effects: [
      effect("summarise", 1, "worker-1"),
      effect("summarise", 2, "worker-2"),
      effect("count", 1, "worker-2"),
    ],
    steps: new Map([["digest", ["summarise", "count"]]]),
    killed: "worker-1",
    ...change,
  };
}

function breaches(change: Partial<Evidence>): string[] {
  return checkPromises(evidence(change)).flatMap((check) => check.breaches);
}

test("a run whose killed attempt was done again by another worker keeps every promise", () => {
  expect(breaches({})).toEqual([]);
});

test("an event that started two runs, none, or another event's is a breach", () => {
  const started = (...runs: string[]): Partial<Evidence> => ({
    published: [{ delivery: "star/0", runs, again: null }],
  });
  expect(breaches(started("run-1", "run-2"))).toEqual(["star/0 started 2 runs"]);
  expect(breaches(started())).toEqual(["star/0 started 0 runs"]);
  expect(breaches(started("run-9"))).toEqual(["run run-9 of star/0 is not in the history"]);
  const shared = ["star/0", "star/1"].map((delivery) => ({
    delivery,
    runs: ["run-1"],
    again: null,
  }));
  expect(breaches({ published: shared })).toEqual(["star/1 and star/0 share run run-1"]);
});

test("an event that was taken for a new one when it was sent again is a breach", () => {
  const sentAgain = (created: boolean, run: string): Partial<Evidence> => ({
    published: [
      { delivery: "star/0", runs: ["run-1"], again: { id: "event-1", created, runs: [run] } },
    ],
  });
  expect(breaches(sentAgain(false, "run-1"))).toEqual([]);
  const told = ["star/0 was taken for a new event when it was sent again"];
  expect(breaches(sentAgain(true, "run-1"))).toEqual(told);
  expect(breaches(sentAgain(false, "run-2"))).toEqual(told);
});

test("a forged delivery that was taken, or not written down, or another that was refused is a breach", () => {
  const forged = (status: number, ...refused: string[]): Partial<Evidence> => ({
    forged: { status, refused },
  });
  expect(breaches(forged(200))).toEqual(["the forged delivery was answered with 200"]);
  expect(breaches(forged(401))).toEqual(["the webhook says that it has refused nothing"]);
  expect(breaches(forged(401, "wrong_signature", "malformed_body"))).toEqual([
    "the webhook says that it has refused wrong_signature, malformed_body",
  ]);
});

test("a run that has not finished, or that failed, is a breach", () => {
  expect(breaches({ runs: [{ ...digestRun(), state: "running" }] })).toEqual([
    "run run-1 of digest is running",
  ]);
  expect(breaches({ runs: [{ ...digestRun(), state: "failed" }] })).toEqual([
    "run run-1 of digest is failed",
  ]);
});

test("a task that is missing, has no output or completed twice is a breach", () => {
  const [summarise, count] = digestRun().tasks;
  const withTasks = (...tasks: Task[]): string[] => breaches({ runs: [{ ...digestRun(), tasks }] });
  expect(withTasks(summarise)).toEqual(["step count of run run-1 is not in the history"]);
  expect(withTasks(summarise, { ...count, output: null })).toEqual([
    "step count of run run-1 has no output",
  ]);
  const twice = [attempt(1, "completed", "worker-2"), attempt(2, "completed", "worker-2")];
  expect(withTasks(summarise, { ...count, attempts: twice })).toEqual([
    "step count of run run-1 completed 2 times",
  ]);
});

test("an attempt that won without an effect in the book is a breach", () => {
  const [lost, , counted] = evidence().effects;
  if (lost === undefined || counted === undefined) throw new Error("There are too few effects");
  expect(breaches({ effects: [lost, counted] })).toEqual([
    "attempt 2 of step summarise of run run-1 left no effect",
  ]);
});

test("an effect that is in the book twice with the same fencing token is a breach", () => {
  const { effects } = evidence();
  expect(breaches({ effects: [...effects, effect("count", 1, "worker-3")] })).toEqual([
    "step count of run run-1 with fencing token 1",
  ]);
});

test("a kill that lost nothing, or whose task nobody else did, is a breach", () => {
  expect(breaches({ killed: "worker-2" })).toEqual([
    "step summarise of run run-1 was lost with worker-2 and not done by another worker",
  ]);
  const [, count] = digestRun().tasks;
  const summarise = task("summarise", [], [attempt(2, "completed", "worker-2")]);
  expect(breaches({ runs: [{ ...digestRun(), tasks: [summarise, count] }] })).toEqual([
    "worker-1 was killed in mid-work, but no attempt was lost",
  ]);
});

test("the table counts lost, rescued and repeated work apart from what was done once", () => {
  const { runs, effects } = evidence();
  expect(countFigures(runs, effects)).toEqual({
    runsCompleted: 1,
    tasksCompleted: 2,
    attemptsLost: 1,
    tasksRescued: 1,
    effectsRepeated: 1,
  });
});

test("start latency runs from publishing to the first handler, and leaves unknown starts out", () => {
  const publishedAt = new Map([["run-1", Date.parse(AT) - 7]]);
  expect(startLatency([digestRun()], publishedAt)).toEqual({ runs: 1, p50Ms: 7, p99Ms: 7 });
  const [summarise, count] = digestRun().tasks;
  const unknown = summarise.attempts.map((one) => ({ ...one, startedAt: null }));
  const run = { ...digestRun(), tasks: [{ ...summarise, attempts: unknown }, count] };
  expect(startLatency([run], publishedAt).runs).toBe(0);
});

test("a percentile is the smallest value that so many do not exceed", () => {
  const values = Array.from({ length: 100 }, (_, index) => index + 1);
  expect([percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1)]).toEqual([
    50, 99, 100,
  ]);
  expect(percentile([], 0.5)).toBe(0);
});
