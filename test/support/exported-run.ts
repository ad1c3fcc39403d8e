/**
 * Exports of runs as Skein makes them, for tests that need no run: written down by the step, in the order of its
 * DAG, with a second for each.
 */
import type { RunExport } from "../../protocol/history-bodies.ts";
import type { Run, Task, WorkflowDefinition } from "../../protocol/http.ts";
import { taskId } from "../../protocol/ids.ts";
import { buildDag } from "../../workers/definitions/dag.ts";

export const RUN = "0189f3a2-7c1e-7000-8a4b-5d6e7f800000";
const BEGAN = Date.parse("2026-01-31T12:00:00Z");

/** What became of steps: the output of one that completed, or all that differs. */
export type Ends = Record<string, Partial<Task>>;

/** A completed task, with its output, as if each step had begun when the one before had ended. */
export function exportedRun(
  definition: WorkflowDefinition,
  ends: Ends,
  parts: Partial<Run> = {},
  rest: Partial<RunExport> = {},
): RunExport {
  const dag = buildDag(definition);
  if ("findings" in dag) throw new Error(JSON.stringify(dag.findings));
  const names = dag.rows.map(({ name }) => name);
  const rows = dag.rows.filter(({ kind, name }) => kind === "step" || name in ends);
  const tasks = rows.map(({ step, name, kind, action, parents }, index): Task => {
    const began = at(index);
    const ended = at(index + 1);
    const worker = "worker";
    const attempt = { attempt: 1, outcome: "completed", worker, error: null } as const;
    return {
      id: taskId(RUN, step),
      step: name,
      kind,
      action,
      parents: parents.map((parent) => names[parent] ?? ""),
      state: "completed",
      attempts: [{ ...attempt, startedAt: began, finishedAt: ended }],
      output: null,
      error: null,
      queuedAt: began,
      startedAt: began,
      finishedAt: ended,
      retryAt: null,
      waited: null,
      children: [],
      ...ends[name],
    };
  });
  const run: Run = {
    id: RUN,
    workflow: definition.name,
    version: 1,
    state: "completed",
    metadata: {},
    eventId: null,
    filterId: null,
    replayOf: null,
    parent: null,
    createdAt: at(0),
    startedAt: at(0),
    finishedAt: at(tasks.length),
    input: null,
    error: null,
    ...parts,
    tasks,
  };
  return {
    format: "skein.run",
    formatVersion: 1,
    isFinished: true,
    run,
    workflow: { id: RUN, name: definition.name },
    version: { id: RUN, number: run.version, checksum: "c", createdAt: at(0), definition },
    event: null,
    filter: null,
    parentKey: null,
    reusedSteps: [],
    priority: null,
    timeoutMs: null,
    timers: [],
    logs: [],
    ...rest,
  };
}

/** So many seconds after the run's beginning. */
export function at(seconds: number): string {
  return new Date(BEGAN + seconds * 1_000).toISOString();
}

/** A task that was never to run. */
export function neverRun(state: "skipped" | "cancelled", message = ""): Partial<Task> {
  const code = state === "skipped" ? "skipped" : "cancelled";
  const error = { code, name: code, message } as const;
  return { state, attempts: [], output: null, queuedAt: null, startedAt: null, error };
}

/** A task of which so many attempts failed, the last one for good. */
export function failedAfter(attempts: number, message = "no luck"): Partial<Task> {
  const error = { code: "handler_error", name: "Error", message } as const;
  return {
    state: "failed",
    error,
    attempts: Array.from({ length: attempts }, (_, index) => ({
      attempt: index + 1,
      outcome: "failed" as const,
      worker: "worker",
      startedAt: at(0),
      finishedAt: at(1),
      error,
    })),
  };
}
