/**
 * Decides whether the demonstration kept its promises, from two witnesses: Skein's history of the
 * runs, and the book in which effects landed. Pure; it reads histories and changes nothing.
 */
import type { PublishedEvent, Run, Task } from "@skein/sdk";
import type { Check } from "../stage/promises.ts";
import type { Effect } from "./book.ts";

/** An event as it was published, and the runs that it started. */
export interface Publication {
  delivery: string;
  runs: readonly string[];
  /** The answer when the same event was published a second time. */
  again: PublishedEvent | null;
}

export interface Evidence {
  /** Of the one delivery that GitHub has not signed: its answer's status, and all that was refused. */
  forged: { status: number; refused: readonly string[] };
  /** Each event once. */
  published: readonly Publication[];
  /** Every run, as the API tells it at the end. */
  runs: readonly Run[];
  effects: readonly Effect[];
  /** The steps of each workflow, by its name. */
  steps: ReadonlyMap<string, readonly string[]>;
  /** The name of the worker that was killed. */
  killed: string;
}

export function checkPromises(evidence: Evidence): Check[] {
  return [
    {
      promise: "Every event started exactly one run, also when it was sent twice.",
      breaches: miscounted(evidence),
    },
    {
      promise: "A delivery that GitHub had not signed was refused, and only that one.",
      breaches: misjudged(evidence),
    },
    { promise: "Every run finished, and completed.", breaches: unfinished(evidence) },
    {
      promise: "In Skein's history every task completed exactly once, and has its output.",
      breaches: notCompletedOnce(evidence),
    },
    {
      promise: "Every task's effect is in the book, with the fencing token that won.",
      breaches: withoutEffect(evidence),
    },
    {
      promise: "No effect is in the book twice with the same fencing token.",
      breaches: recordedTwice(evidence.effects),
    },
    {
      promise: "Everything the killed worker had in its hands was done by another one.",
      breaches: notRescued(evidence),
    },
  ];
}

/** Whether an attempt of this task was lost with its worker. */
export function wasLost({ attempts }: Task): boolean {
  return attempts.some(({ outcome }) => outcome === "lost");
}

function miscounted({ published, runs }: Evidence): string[] {
  const known = new Set(runs.map(({ id }) => id));
  const owner = new Map<string, string>();
  return published.flatMap(({ delivery, runs: started, again }) => {
    const [run] = started;
    if (run === undefined || started.length > 1) {
      return [`${delivery} started ${started.length} runs`];
    }
    const other = owner.get(run);
    owner.set(run, delivery);
    if (other !== undefined) return [`${delivery} and ${other} share run ${run}`];
    if (again !== null && (again.created || again.runs.some((second) => second !== run))) {
      return [`${delivery} was taken for a new event when it was sent again`];
    }
    return known.has(run) ? [] : [`run ${run} of ${delivery} is not in the history`];
  });
}

function misjudged({ forged: { status, refused } }: Evidence): string[] {
  if (status !== 401) return [`the forged delivery was answered with ${status}`];
  const told = refused.join(", ") || "nothing";
  return told === "wrong_signature" ? [] : [`the webhook says that it has refused ${told}`];
}

function unfinished({ runs }: Evidence): string[] {
  return runs
    .filter(({ state }) => state !== "completed")
    .map(({ id, workflow, state, tasks }) => {
      const failed = tasks.find(({ error }) => error !== null);
      const why = failed?.error == null ? "" : `: ${failed.step}: ${failed.error.message}`;
      return `run ${id} of ${workflow} is ${state}${why}`;
    });
}

function notCompletedOnce({ runs, steps }: Evidence): string[] {
  return runs.flatMap(({ id, workflow, tasks }) =>
    (steps.get(workflow) ?? []).flatMap((step) => {
      const which = `step ${step} of run ${id}`;
      const [task, ...more] = tasks.filter((candidate) => candidate.step === step);
      if (task === undefined) return [`${which} is not in the history`];
      if (more.length > 0) return [`${which} is in the history ${more.length + 1} times`];
      const completed = task.attempts.filter(({ outcome }) => outcome === "completed").length;
      if (completed !== 1) return [`${which} completed ${completed} times`];
      if (task.state !== "completed") return [`${which} is ${task.state}`];
      return task.output === null ? [`${which} has no output`] : [];
    }),
  );
}

function withoutEffect({ runs, effects }: Evidence): string[] {
  const written = new Set(
    effects.map(({ run, step, fencingToken }) => `${run} ${step} ${fencingToken}`),
  );
  return runs.flatMap(({ id, tasks }) =>
    tasks.flatMap(({ step, attempts }) => {
      const winner = attempts.find(({ outcome }) => outcome === "completed");
      // A task without a winner is told as such already.
      if (winner === undefined || written.has(`${id} ${step} ${winner.attempt}`)) return [];
      return [`attempt ${winner.attempt} of step ${step} of run ${id} left no effect`];
    }),
  );
}

function recordedTwice(effects: readonly Effect[]): string[] {
  const written = new Set<string>();
  return effects.flatMap(({ run, step, fencingToken }) => {
    const key = `step ${step} of run ${run} with fencing token ${fencingToken}`;
    if (written.has(key)) return [key];
    written.add(key);
    return [];
  });
}

function notRescued({ runs, killed }: Evidence): string[] {
  const lost = runs.flatMap(({ id, tasks }) => tasks.filter(wasLost).map((task) => ({ id, task })));
  if (lost.length === 0) return [`${killed} was killed in mid-work, but no attempt was lost`];
  return lost.flatMap(({ id, task }) => {
    const winner = task.attempts.find(({ outcome }) => outcome === "completed");
    if (winner !== undefined && winner.worker !== killed) return [];
    return [
      `step ${task.step} of run ${id} was lost with ${killed} and not done by another worker`,
    ];
  });
}
