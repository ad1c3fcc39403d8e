/**
 * Decides whether the promises were kept, from two witnesses that know nothing of each other: the
 * rows in Postgres and the entries in the ledger. Pure. Every breach is a sentence that names what
 * it is about.
 */
import { FINISHED_TASK_STATES, isFinishedRun, type TaskState } from "../../protocol/states.ts";
import type { Leftovers, RunRow, TaskRow } from "./history.ts";
import { type Effect, type Entry, keyOf } from "./ledger.ts";
import { ORDER_STEPS } from "./order.ts";

export interface Evidence {
  /** Runs whose start was answered. */
  accepted: readonly string[];
  runs: readonly RunRow[];
  entries: readonly Entry[];
  /** Of every worker. */
  slots: number;
  /** No worker died: an attempt that has begun goes on. */
  isResumed: boolean;
}

export interface Verdict {
  /** An accepted run is missing, did not complete, or left no effect. */
  lost: string[];
  /** Something happened twice: a run, an attempt, an effect. */
  double: string[];
  /** A run or a task has not finished, or something of it was left lying. */
  stuck: string[];
  /** History contradicts the outside world, or itself. */
  wrong: string[];
  /** A worker had more tasks than slots. */
  crowded: string[];
  /** Something took longer than was promised. */
  late: string[];
}

export function checkPromises(evidence: Evidence): Verdict {
  const applied = appliedBy(evidence.entries);
  return {
    lost: lost(evidence, applied),
    double: double(evidence),
    stuck: unfinished(evidence),
    wrong: [...incomplete(evidence), ...misnumbered(evidence), ...contradicted(evidence, applied)],
    crowded: crowded(evidence),
    late: [],
  };
}

export function checkLeftovers({ queued, handouts }: Leftovers): string[] {
  return [
    ...(queued > 0 ? [`${queued} tasks are in the queue`] : []),
    ...(handouts > 0 ? [`${handouts} handouts are kept though nothing is handed out`] : []),
  ];
}

export function isKept(verdict: Verdict): boolean {
  return Object.values(verdict).every((breaches) => breaches.length === 0);
}

function lost({ accepted, runs }: Evidence, applied: ReadonlyMap<string, Effect>): string[] {
  const known = new Set(runs.map(({ id }) => id));
  return [
    ...accepted
      .filter((id) => !known.has(id))
      .map((id) => `run ${id} was accepted and is not there`),
    ...runs
      .filter(({ state }) => state === "failed" || state === "cancelled")
      .map(({ id, state }) => `run ${id} has ${state}`),
    ...completedTasks(runs)
      .filter((task) => !applied.has(keyOf(task)))
      .map(({ run, step }) => `step ${step} of run ${run} has completed without its effect`),
  ];
}

function double({ accepted, runs, entries, isResumed }: Evidence): string[] {
  const asked = new Set(accepted);
  const breaches = runs
    .filter(({ id }) => !asked.has(id))
    .map(({ id }) => `run ${id} was started though no call asked for it`);
  if (asked.size < accepted.length) {
    breaches.push(`${accepted.length - asked.size} starts were answered with another's run`);
  }
  const begun = new Map<string, number[]>();
  const applied = new Set<string>();
  for (const { kind, run, step, attempt } of entries) {
    const key = keyOf({ run, step });
    const which = `step ${step} of run ${run}`;
    if (kind === "applied") {
      if (applied.has(key)) breaches.push(`${which} had its effect twice`);
      applied.add(key);
    } else if (kind === "begun") {
      const earlier = begun.get(key) ?? [];
      if (earlier.includes(attempt)) {
        breaches.push(`attempt ${attempt} of ${which} was begun twice`);
      } else if (isResumed && earlier.length > 0) {
        breaches.push(`attempt ${attempt} of ${which} was begun while ${earlier.at(-1)} went on`);
      }
      begun.set(key, [...earlier, attempt]);
    }
  }
  return breaches;
}

function unfinished({ runs }: Evidence): string[] {
  const finished: readonly TaskState[] = FINISHED_TASK_STATES;
  return [
    ...runs
      .filter(({ state }) => !isFinishedRun(state))
      .map(({ id, state }) => `run ${id} is still ${state}`),
    ...eachTask(runs)
      .filter(({ state }) => !finished.includes(state))
      .map(({ run, step, state }) => `step ${step} of run ${run} is still ${state}`),
  ];
}

function incomplete({ runs }: Evidence): string[] {
  return runs.flatMap(({ id, state, tasks }) =>
    [...ORDER_STEPS.keys()].flatMap((step) => {
      const task = tasks.find((candidate) => candidate.step === step);
      if (state !== "completed" || task?.state === "completed") return [];
      return [`run ${id} has completed, but its step ${step} is ${task?.state ?? "not there"}`];
    }),
  );
}

/** Attempts count from 1, all but the last were lost, and the last is the last that began. */
function misnumbered({ runs, entries }: Evidence): string[] {
  const newest = new Map<string, number>();
  for (const entry of entries) {
    if (entry.kind !== "begun") continue;
    newest.set(keyOf(entry), Math.max(entry.attempt, newest.get(keyOf(entry)) ?? 0));
  }
  return completedTasks(runs).flatMap((task) => {
    const which = `step ${task.step} of run ${task.run}`;
    const numbers = [...task.before.map(({ attempt }) => attempt), task.attempt];
    const last = newest.get(keyOf(task)) ?? task.attempt;
    return [
      ...(numbers.every((number, index) => number === index + 1)
        ? []
        : [`${which} has attempts ${numbers.join(", ")}`]),
      ...task.before
        .filter(({ outcome }) => outcome !== "lost")
        .map(
          ({ attempt, outcome }) => `attempt ${attempt} of ${which} ${outcome}, and was repeated`,
        ),
      ...(last === task.attempt
        ? []
        : [`${which} completed with attempt ${task.attempt}, but ${last} was the last to begin`]),
    ];
  });
}

/** What a task put out is its effect, and what it was told of its parents is theirs. */
function contradicted({ runs }: Evidence, applied: ReadonlyMap<string, Effect>): string[] {
  return completedTasks(runs).flatMap(({ run, step, output }) => {
    const which = `step ${step} of run ${run}`;
    const effect = applied.get(keyOf({ run, step }));
    if (effect === undefined) return []; // Told as lost already.
    const parents = (ORDER_STEPS.get(step) ?? [])
      .map((parent) => applied.get(keyOf({ run, step: parent }))?.number)
      .join();
    const told = effect.after.join();
    return [
      ...(isSame(output, effect)
        ? []
        : [`${which} put out ${JSON.stringify(output)}, but did ${JSON.stringify(effect)}`]),
      ...(told === parents
        ? []
        : [`${which} was told of effects ${told}, but its parents had ${parents}`]),
    ];
  });
}

/** Counts handlers between their first word to the ledger and their last: never more than really ran. */
function crowded({ entries, slots }: Evidence): string[] {
  const running = new Map<string, Set<string>>();
  const most = new Map<string, number>();
  for (const entry of entries) {
    const open = running.get(entry.worker) ?? new Set();
    running.set(entry.worker, open);
    const attempt = `${keyOf(entry)}/${entry.attempt}`;
    if (entry.kind === "begun") open.add(attempt);
    else open.delete(attempt);
    most.set(entry.worker, Math.max(open.size, most.get(entry.worker) ?? 0));
  }
  return [...most]
    .filter(([, count]) => count > slots)
    .map(([worker, count]) => `${worker} had ${count} tasks at once, and ${slots} slots`);
}

function appliedBy(entries: readonly Entry[]): Map<string, Effect> {
  const applied = new Map<string, Effect>();
  for (const entry of entries) {
    if (entry.kind === "applied" && entry.effect) applied.set(keyOf(entry), entry.effect);
  }
  return applied;
}

function eachTask(runs: readonly RunRow[]): (TaskRow & { run: string })[] {
  return runs.flatMap(({ id, tasks }) => tasks.map((task) => ({ ...task, run: id })));
}

function completedTasks(runs: readonly RunRow[]): (TaskRow & { run: string })[] {
  return eachTask(runs).filter(({ state }) => state === "completed");
}

function isSame(output: unknown, { number, after }: Effect): boolean {
  if (typeof output !== "object" || output === null) return false;
  const told: Partial<Record<keyof Effect, unknown>> = output;
  return told.number === number && Array.isArray(told.after) && told.after.join() === after.join();
}
