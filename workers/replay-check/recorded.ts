/**
 * What a run recorded, as a replay check asks for it. Pure.
 */
import type { ExportedEvent, RunExport } from "../../protocol/history-bodies.ts";
import type { Run, Task } from "../../protocol/http.ts";

/** What a check needs of a run: an export has it. */
export type Recorded = Pick<RunExport, "run" | "reusedSteps"> & {
  event: Pick<ExportedEvent, "key"> | null;
  version: Pick<RunExport["version"], "definition">;
};

/** Whether a handler was given it, in this run or in one that it repeats. */
export function hasRun({ state, attempts }: Task): boolean {
  return state === "completed" || attempts.length > 0;
}

/** Whether it came as far as its gate. */
export function wasReached(task: Task): boolean {
  return hasRun(task) || task.state === "skipped" || task.state === "failed";
}

/** Whether the run was ended from outside of its DAG: then nothing can be said of what had not happened yet. */
export function wasCut({ error }: Run): boolean {
  return error !== null;
}

/** The step whose condition cancelled the run. The shard writes it down in the run's error. */
export function cancellerOf({ error }: Run): string | undefined {
  if (error?.code !== "cancelled") return undefined;
  return /^The run was cancelled by step "([^"]+)": /.exec(error.message)?.[1];
}

/** When its handler was first given it, in milliseconds since 1970. */
export function beganAt({ attempts, startedAt, queuedAt }: Task): number | undefined {
  const started = attempts.flatMap((attempt) => attempt.startedAt ?? []);
  const [first = startedAt ?? queuedAt] = started.toSorted();
  return millisecondsAt(first);
}

export function millisecondsAt(time: string | null | undefined): number | undefined {
  return time === null || time === undefined ? undefined : Date.parse(time);
}

/** As people say it: `250 ms`, `1.5 s`, `20 min`. */
export function durationText(ms: number): string {
  const units = [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["min", 60_000],
    ["s", 1_000],
  ] as const;
  const [unit, size] = units.find(([, length]) => ms >= length) ?? ["ms", 1];
  return `${Math.round((ms / size) * 10) / 10} ${unit}`;
}
