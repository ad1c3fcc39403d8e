/** The judge of the chaos can say no: histories that were doctored in one place each. */
import { describe, expect, test } from "vitest";
import { checkLeftovers, checkPromises, type Evidence, isKept, type Verdict } from "./checker.ts";
import type { RunRow, TaskRow } from "./history.ts";
import { type AttemptRef, Ledger } from "./ledger.ts";
import { ORDER_STEPS } from "./order.ts";

const SLOTS = 2;

/** A history without a fault: two runs; in the second, one worker was killed with a task. */
function kept(): Evidence & { runs: RunRow[]; entries: Ledger["entries"]; accepted: string[] } {
  const ledger = new Ledger();
  const runs = ["quiet", "rescued"].map((id): RunRow => {
    const tasks = new Map<string, TaskRow>();
    for (const [step, parents] of ORDER_STEPS) {
      const ref: AttemptRef = { run: id, step, attempt: 1, worker: "first" };
      ledger.begin(ref);
      const isRescued = id === "rescued" && step === "pack";
      const last = isRescued ? { ...ref, attempt: 2, worker: "second" } : ref;
      if (isRescued) ledger.begin(last);
      const told = parents.map((parent) => tasks.get(parent)?.output as { number: number });
      const output = ledger.apply(
        last,
        told.map(({ number }) => number),
      );
      const before = isRescued
        ? [{ attempt: 1, outcome: "lost" as const, worker: ref.worker }]
        : [];
      const { attempt } = last;
      tasks.set(step, {
        step,
        state: "completed",
        attempt,
        output: structuredClone(output),
        before,
      });
    }
    return { id, state: "completed", tasks: [...tasks.values()] };
  });
  const accepted = runs.map(({ id }) => id);
  return { accepted, runs, entries: ledger.entries, slots: SLOTS, isResumed: false };
}

type History = ReturnType<typeof kept>;

/** What the checker says of a history after something was done to it. */
function judge(doctor: (history: History) => void): Partial<Verdict> {
  const history = kept();
  doctor(history);
  const verdict = checkPromises(history);
  return Object.fromEntries(Object.entries(verdict).filter(([, breaches]) => breaches.length > 0));
}

function runOf({ runs }: History, id: string): RunRow {
  const run = runs.find((candidate) => candidate.id === id);
  if (run === undefined) throw new Error(`There is no run ${id}`);
  return run;
}

function taskOf(history: History, id: string, step: string): TaskRow {
  const task = runOf(history, id).tasks.find((candidate) => candidate.step === step);
  if (task === undefined) throw new Error(`There is no step ${step}`);
  return task;
}

test("a history in which every promise was kept is found to be so", () => {
  expect(judge(() => undefined)).toEqual({});
  expect(isKept(checkPromises(kept()))).toBe(true);
});

describe("a run is lost", () => {
  test("when it was accepted and nobody remembers it", () => {
    const { lost } = judge((history) => history.accepted.push("forgotten"));
    expect(lost).toEqual(["run forgotten was accepted and is not there"]);
  });

  test("when it has failed", () => {
    const verdict = judge((history) => {
      runOf(history, "quiet").state = "failed";
      taskOf(history, "quiet", "ship").state = "failed";
    });
    expect(verdict).toEqual({ lost: ["run quiet has failed"] });
  });

  test("when a step is said to have completed and its effect never landed", () => {
    const { lost } = judge((history) => {
      history.entries = history.entries.filter(
        ({ run, step, kind }) => `${run} ${step} ${kind}` !== "quiet ship applied",
      );
    });
    expect(lost).toEqual(["step ship of run quiet has completed without its effect"]);
  });
});

describe("something happened twice", () => {
  test("when there is a run that nobody was promised", () => {
    const { double } = judge((history) => void history.accepted.pop());
    expect(double).toEqual(["run rescued was started though no call asked for it"]);
  });

  test("when two starts were answered with one run", () => {
    const { double } = judge((history) => void history.accepted.push("quiet"));
    expect(double).toEqual(["1 starts were answered with another's run"]);
  });

  test("when an attempt was executed by two workers", () => {
    const { double } = judge(({ entries }) => {
      const begun = entries.find(({ kind }) => kind === "begun");
      if (begun) entries.push({ ...begun, worker: "second" });
    });
    expect(double).toEqual(["attempt 1 of step charge of run quiet was begun twice"]);
  });

  test("when the outside world let an effect land twice", () => {
    const { double } = judge(({ entries }) => {
      const applied = entries.find(({ kind }) => kind === "applied");
      if (applied) entries.push({ ...applied, attempt: 2 });
    });
    expect(double).toEqual(["step charge of run quiet had its effect twice"]);
  });

  test("when an attempt was repeated though no worker died", () => {
    const { double } = judge((history) => {
      history.isResumed = true;
    });
    expect(double).toEqual(["attempt 2 of step pack of run rescued was begun while 1 went on"]);
  });
});

test("a run or a task that has not finished is stuck", () => {
  const verdict = judge((history) => {
    runOf(history, "quiet").state = "running";
    taskOf(history, "quiet", "ship").state = "queued";
  });
  expect(verdict).toEqual({
    stuck: ["run quiet is still running", "step ship of run quiet is still queued"],
  });
});

test("what is left in the queue or in a shard's hands at the end is told", () => {
  expect(checkLeftovers({ queued: 0, handouts: 0 })).toEqual([]);
  expect(checkLeftovers({ queued: 3, handouts: 1 })).toHaveLength(2);
});

describe("history is wrong", () => {
  test("when a completed run has a step that is not", () => {
    const { wrong } = judge((history) => void runOf(history, "quiet").tasks.pop());
    expect(wrong).toEqual(["run quiet has completed, but its step ship is not there"]);
  });

  test("when an attempt is missing in the row of attempts", () => {
    const { wrong } = judge((history) => {
      taskOf(history, "rescued", "pack").before = [];
    });
    expect(wrong).toEqual(["step pack of run rescued has attempts 2"]);
  });

  test("when an attempt was repeated that was not lost", () => {
    const { wrong } = judge((history) => {
      const [before] = taskOf(history, "rescued", "pack").before;
      if (before) before.outcome = "completed";
    });
    expect(wrong).toEqual(["attempt 1 of step pack of run rescued completed, and was repeated"]);
  });

  test("when the result of an attempt counts although a newer one had begun", () => {
    const { wrong } = judge((history) => {
      const task = taskOf(history, "rescued", "pack");
      Object.assign(task, { attempt: 1, before: [] });
    });
    expect(wrong).toEqual([
      "step pack of run rescued completed with attempt 1, but 2 was the last to begin",
    ]);
  });

  test("when an output is not what the step did", () => {
    const { wrong } = judge((history) => {
      taskOf(history, "quiet", "ship").output = { number: 99, after: [1, 2] };
    });
    expect(wrong).toHaveLength(1);
    expect(wrong?.[0]).toContain("step ship of run quiet put out");
  });

  test("when a step was given another output than its parent's", () => {
    const { wrong } = judge(({ entries }) => {
      const ship = entries.find(({ step, kind }) => step === "ship" && kind === "applied");
      if (ship?.effect) ship.effect.after[0] = 99;
    });
    expect(wrong).toContain(
      "step ship of run quiet was told of effects 99,2, but its parents had 1,2",
    );
  });
});

test("a worker that had more tasks at once than slots was crowded", () => {
  const { crowded } = judge(({ entries }) => {
    const more = ["a", "b", "c"].map((step) => ({ run: "x", step, attempt: 1, worker: "third" }));
    for (const ref of more) entries.push({ ...ref, kind: "begun", at: 0 });
  });
  expect(crowded).toEqual(["third had 3 tasks at once, and 2 slots"]);
});
