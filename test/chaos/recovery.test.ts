/** Recovery is measured from the throw to the moment at which things went on, and not to another. */
import { expect, test } from "vitest";
import type { RunRow } from "./history.ts";
import type { Entry, Note } from "./ledger.ts";
import {
  lateRescues,
  measureRecovery,
  RESCUE_LIMIT_MS,
  type RecoveryEvidence,
} from "./recovery.ts";

const NOTHING: RecoveryEvidence = { thrown: [], runs: [], ledger: { entries: [], notes: [] } };

function begun(run: string, attempt: number, at: number, step = "charge"): Entry {
  return { kind: "begun", run, step, attempt, worker: "any", at };
}

function shipped(run: string, at: number): Entry {
  return { ...begun(run, 1, at, "ship"), kind: "applied" };
}

function welcomed(worker: string, at: number): Note {
  return { kind: "welcomed", worker, count: 1, at };
}

/** A run whose first step was lost with these workers, one after another. */
function lostWith(...workers: string[]): RunRow {
  const before = workers.map((worker, index) => ({
    attempt: index + 1,
    outcome: "lost" as const,
    worker,
  }));
  const attempt = workers.length + 1;
  const task = { step: "charge", state: "completed" as const, attempt, output: null, before };
  return { id: "r", state: "completed", tasks: [task] };
}

test("a lost task is back when its next attempt begins, each after its own worker's death", () => {
  const thrown = [
    { what: "kill", at: 1_000, killed: ["first"] },
    { what: "kill", at: 9_000, killed: ["second"] },
  ];
  const entries = [begun("r", 1, 900), begun("r", 2, 7_100), begun("r", 3, 15_200)];
  const evidence = { thrown, runs: [lostWith("first", "second")], ledger: { entries, notes: [] } };
  const recoveries = measureRecovery("rescue", evidence);
  expect(recoveries.map(({ ms }) => ms)).toEqual([6_100, 6_200]);
  expect(lateRescues(recoveries)).toEqual([]);
});

test("a task that was not lost with a killed worker was not rescued from one", () => {
  const thrown = [{ what: "kill", at: 1_000, killed: ["first"] }];
  const entries = [begun("r", 2, 7_000)];
  const evidence = { thrown, runs: [lostWith("another")], ledger: { entries, notes: [] } };
  expect(measureRecovery("rescue", evidence)).toEqual([]);
});

test("a task that took longer than the grace and a second was rescued too late", () => {
  const recoveries = [RESCUE_LIMIT_MS, RESCUE_LIMIT_MS + 1].map((ms) => ({ what: "a task", ms }));
  expect(lateRescues(recoveries)).toHaveLength(1);
});

test("a worker is back when it is welcomed again; one that came later was not away", () => {
  const thrown = [{ what: "deploy", at: 100, killed: [] }];
  const notes = [welcomed("a", 10), welcomed("b", 20), welcomed("new", 110), welcomed("b", 180)];
  const recoveries = measureRecovery("welcome", {
    ...NOTHING,
    thrown,
    ledger: { entries: [], notes },
  });
  expect(recoveries).toEqual([{ what: "b after a deploy", ms: 80 }]);
});

test("a run that began before the throw is no sign of recovery; the first after it is", () => {
  const thrown = [{ what: "kill", at: 100, killed: [] }];
  const entries = [
    begun("before", 1, 90),
    begun("after", 1, 120),
    shipped("before", 130),
    shipped("after", 400),
  ];
  const recoveries = measureRecovery("run", { ...NOTHING, thrown, ledger: { entries, notes: [] } });
  expect(recoveries).toEqual([{ what: "after kill", ms: 300 }]);
});
