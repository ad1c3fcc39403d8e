/**
 * One run as the API shows it: with its tasks, attempts, outputs and children, or its result alone.
 */
import { and, asc, between, eq, type SQL } from "drizzle-orm";
import type { AnyPgColumn } from "drizzle-orm/pg-core";
import type { TaskErrorCode } from "../protocol/errors.ts";
import type { Attempt, Run, RunResult, Task } from "../protocol/http.ts";
import type { TaskWait } from "../protocol/wait-bodies.ts";
import { lastTaskId } from "../protocol/ids.ts";
import type { Json } from "../protocol/json.ts";
import { type AttemptOutcome, isFinishedRun } from "../protocol/states.ts";
import { isRunOf } from "./kept.ts";
import { runColumns, toSummary } from "./read-runs.ts";
import { isoTime, type Reads } from "./reads.ts";
import {
  childRun,
  dag,
  task,
  taskAttempt,
  taskOutput,
  taskWait,
  timer,
  workflow,
  workflowRun,
  workflowVersion,
} from "./schema.ts";

/** Children that are shown of one run; a run with more of them is read by their own parent. */
const MAX_CHILDREN = 1_000;

type TaskRow = typeof task.$inferSelect;

/** Of a run that is shown with its tasks. */
export const fullRunColumns = {
  ...runColumns,
  input: workflowRun.input,
  error: workflowRun.error,
  reused: workflowRun.reused,
};

/** Of its tasks, with what each is of its DAG. */
const fullTaskColumns = {
  task,
  output: taskOutput.output,
  name: dag.name,
  kind: dag.kind,
  action: dag.action,
  parents: dag.parents,
  retryAt: timer.dueAt,
  wait: taskWait,
};

/** Says which ids are of a chosen run's tasks. */
type OfRun = (taskId: AnyPgColumn) => SQL;

/** Rows of the runs' tasks, by id. */
export function selectTasks(reads: Reads, runs: SQL | undefined, ofRun: OfRun) {
  return reads
    .select(fullTaskColumns)
    .from(workflowRun)
    .innerJoin(task, ofRun(task.id))
    .innerJoin(dag, and(eq(dag.versionId, workflowRun.versionId), eq(dag.step, task.step)))
    .leftJoin(taskOutput, eq(taskOutput.taskId, task.id))
    .leftJoin(taskWait, eq(taskWait.taskId, task.id))
    .leftJoin(timer, and(eq(timer.id, task.id), eq(timer.kind, "retry")))
    .where(runs)
    .orderBy(task.id);
}

/** Their attempts, but for each task's last, which is in its own row. */
export function selectAttempts(reads: Reads, runs: SQL | undefined, ofRun: OfRun) {
  return reads
    .select({ attempt: taskAttempt })
    .from(workflowRun)
    .innerJoin(taskAttempt, ofRun(taskAttempt.taskId))
    .where(runs)
    .orderBy(taskAttempt.taskId, taskAttempt.attempt);
}

/** A run with everything that is known of it. */
export async function readRun(
  reads: Reads,
  tenant: string,
  id: string,
  { mostChildren = MAX_CHILDREN } = {},
): Promise<Run | undefined> {
  const chosen = and(isRunOf(tenant), eq(workflowRun.id, id));
  const ofRun: OfRun = (taskId) => between(taskId, id, lastTaskId(id));
  const [runs, tasks, attempts, children] = await reads.batch([
    reads
      .select(fullRunColumns)
      .from(workflowRun)
      .innerJoin(workflow, eq(workflow.id, workflowRun.workflowId))
      .innerJoin(workflowVersion, eq(workflowVersion.id, workflowRun.versionId))
      .where(chosen),
    selectTasks(reads, chosen, ofRun),
    selectAttempts(reads, chosen, ofRun),
    reads
      .select({ child: childRun })
      .from(workflowRun)
      .innerJoin(childRun, ofRun(childRun.parentId))
      .where(chosen)
      .orderBy(asc(childRun.parentId), asc(childRun.key))
      .limit(mostChildren),
  ]);
  const [run] = runs;
  return run && assembleRun(run, tasks, attempts, children);
}

type RunRow = Parameters<typeof toSummary>[0] & {
  input: Json;
  error: Run["error"];
  reused: number[] | null;
};

interface FullTaskRow {
  task: TaskRow;
  output: Json | null;
  name: string;
  kind: Task["kind"];
  action: string;
  parents: number[];
  retryAt: Date | null;
  wait: typeof taskWait.$inferSelect | null;
}

/** The run as the API shows it, of the rows that are its own. */
export function assembleRun(
  run: RunRow,
  tasks: FullTaskRow[],
  attempts: { attempt: typeof taskAttempt.$inferSelect }[],
  children: { child: typeof childRun.$inferSelect }[],
): Run {
  // What a replay reuses was attempted in the run that it repeats.
  const isReused = ({ step }: TaskRow): boolean => run.reused?.includes(step) === true;
  const names = new Map(tasks.map(({ task: { step }, name }) => [step, name]));
  return {
    ...toSummary(run),
    input: run.input,
    error: run.error,
    tasks: tasks.map((row): Task => ({
      id: row.task.id,
      step: row.name,
      kind: row.kind,
      action: row.action,
      parents: row.parents.map((parent) => names.get(parent) ?? ""),
      state: row.task.state,
      attempts: [
        ...attempts.filter(({ attempt }) => attempt.taskId === row.task.id).map(toAttempt),
        ...(isReused(row.task) ? [] : lastAttempt(row.task)),
      ],
      output: row.output,
      error: row.task.error,
      queuedAt: isoTime(row.task.queuedAt),
      startedAt: isoTime(row.task.startedAt),
      finishedAt: isoTime(row.task.finishedAt),
      retryAt: isoTime(row.retryAt),
      waited: row.wait && toWait(row.wait),
      children: children
        .filter(({ child }) => child.parentId === row.task.id)
        .map(({ child: { key, runId, isDetached } }) => ({ key, run: runId, isDetached })),
    })),
  };
}

/** With the shard by which the run is dispatched. */
export async function readResult(
  reads: Reads,
  tenant: string,
  id: string,
): Promise<{ result: RunResult; shard: number } | undefined> {
  const rows = await reads
    .select({
      state: workflowRun.state,
      shard: workflowRun.shard,
      runError: workflowRun.error,
      name: dag.name,
      taskState: task.state,
      output: taskOutput.output,
      error: task.error,
    })
    .from(workflowRun)
    .innerJoin(task, between(task.id, id, lastTaskId(id)))
    .innerJoin(
      dag,
      and(eq(dag.versionId, workflowRun.versionId), eq(dag.step, task.step), eq(dag.kind, "step")),
    )
    .leftJoin(taskOutput, eq(taskOutput.taskId, task.id))
    .where(and(isRunOf(tenant), eq(workflowRun.id, id)))
    .orderBy(task.id);
  const [first] = rows;
  if (first === undefined) return undefined;
  const { state, shard, runError } = first;
  const outputs: { [step: string]: Json } = {};
  for (const { name, taskState, output } of rows) {
    if (taskState === "completed") outputs[name] = output;
  }
  const error = isFinishedRun(state) ? whyEnded(rows, runError) : null;
  return { result: { id, state, outputs, error }, shard };
}

/** The first failed step's error, or the run's own. */
function whyEnded(
  steps: { name: string; taskState: TaskRow["state"]; error: TaskRow["error"] }[],
  runError: Run["error"],
): RunResult["error"] {
  const failed = steps.find(({ taskState }) => taskState === "failed");
  if (failed?.error) return { ...failed.error, step: failed.name };
  return runError && { ...runError, step: null };
}

function toWait({
  beganAt,
  timesOutAt,
  endedAt,
  isMet,
  found: met,
}: typeof taskWait.$inferSelect): TaskWait {
  const times = { timesOutAt: isoTime(timesOutAt), endedAt: isoTime(endedAt) };
  return { since: isoTime(beganAt), ...times, isMet, met };
}

function toAttempt({ attempt: row }: { attempt: typeof taskAttempt.$inferSelect }): Attempt {
  const { attempt, outcome, worker, startedAt, finishedAt, error } = row;
  const times = { startedAt: isoTime(startedAt), finishedAt: isoTime(finishedAt) };
  return { attempt, outcome, worker, ...times, error };
}

/** The attempt that ended the task is the task's own row. */
function lastAttempt(row: TaskRow): Attempt[] {
  const { attempt, worker, startedAt, finishedAt, error } = row;
  const outcome = lastOutcome(row);
  if (finishedAt === null || outcome === undefined) return [];
  const times = { startedAt: isoTime(startedAt), finishedAt: isoTime(finishedAt) };
  return [{ attempt, outcome, worker, ...times, error }];
}

/** How a task failed tells how its last attempt ended, where that is not the same word. */
const OUTCOMES: Partial<Record<TaskErrorCode, AttemptOutcome>> = {
  execution_timeout: "timed_out",
  worker_lost: "lost",
  not_received: "lost",
};

/** Why a task fails that nobody was given. */
const WITHOUT_ATTEMPT = new Set<TaskErrorCode>([
  "schedule_timeout",
  "invalid_key",
  "condition_failed",
  "wait_timeout",
  "limit_held_by_parent",
]);

/** Undefined when the task ended without an attempt: in the queue, or while it waited. */
function lastOutcome({ state, worker, error }: TaskRow): AttemptOutcome | undefined {
  if (state === "completed") return "completed";
  if (state === "cancelled") return worker === null ? undefined : "cancelled";
  if (state !== "failed" || (error && WITHOUT_ATTEMPT.has(error.code))) return undefined;
  return (error && OUTCOMES[error.code]) ?? "failed";
}
