/**
 * Counts what happened, for the table at the end: pure arithmetic over Skein's history and the book.
 */
import type { Run } from "@skein/sdk";
import type { Effect } from "./book.ts";
import { wasLost } from "./check.ts";

/** Latencies of some runs in whole milliseconds. */
export interface Latency {
  runs: number;
  p50Ms: number;
  p99Ms: number;
}

export interface Figures {
  runsCompleted: number;
  tasksCompleted: number;
  attemptsLost: number;
  tasksRescued: number;
  /** Effects that a rescued task wrote again, with a newer fencing token. */
  effectsRepeated: number;
}

export function countFigures(runs: readonly Run[], effects: readonly Effect[]): Figures {
  const tasks = runs.flatMap((run) => run.tasks);
  const attempts = tasks.flatMap((task) => task.attempts);
  const completed = tasks.filter(({ state }) => state === "completed");
  return {
    runsCompleted: runs.filter(({ state }) => state === "completed").length,
    tasksCompleted: completed.length,
    attemptsLost: attempts.filter(({ outcome }) => outcome === "lost").length,
    tasksRescued: completed.filter(wasLost).length,
    effectsRepeated:
      effects.length - new Set(effects.map(({ run, step }) => `${run} ${step}`)).size,
  };
}

/**
 * From the moment a run's event was about to be published to the start of its first handler. A run
 * whose first attempt was lost before its start was recorded is left out: nobody knows when it was.
 */
export function startLatency(
  runs: readonly Run[],
  publishedAt: ReadonlyMap<string, number>,
): Latency {
  const latencies = runs.flatMap((run) => {
    const began = run.tasks.find(({ parents }) => parents.length === 0)?.attempts[0]?.startedAt;
    const published = publishedAt.get(run.id);
    if (began == null || published === undefined) return [];
    return [Date.parse(began) - published];
  });
  const sorted = latencies.toSorted((a, b) => a - b);
  return { runs: sorted.length, p50Ms: percentile(sorted, 0.5), p99Ms: percentile(sorted, 0.99) };
}

/** The value that this share of the sorted values does not exceed; 0 of none. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}
