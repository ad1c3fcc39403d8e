/**
 * The lifecycle as data: which state a task or a run is in, and what each thing that happens to it
 * makes of it. Postgres' enums, the SQL tests and docs/lifecycle.md follow these tables.
 */

export const TASK_STATES = [
  "waiting", // for parents that have not completed
  "queued", // ready: in a shard's window, on its way to a worker, or in the queue
  "running", // a worker has held it long enough for the start to be recorded
  "backoff", // failed, and queued again when its time comes
  "completed",
  "failed",
  "cancelled", // never to run: an ancestor failed, or its run was cancelled
  "skipped", // never to run: its condition said so
] as const;
export type TaskState = (typeof TASK_STATES)[number];

export const RUN_STATES = ["queued", "running", "completed", "failed", "cancelled"] as const;
export type RunState = (typeof RUN_STATES)[number];

/** How one attempt ended. `lost`: its worker or shard vanished, so nobody knows what it did. */
export const ATTEMPT_OUTCOMES = ["completed", "failed", "timed_out", "lost", "cancelled"] as const;
export type AttemptOutcome = (typeof ATTEMPT_OUTCOMES)[number];

/** What can happen to a task. */
export const TASK_EVENTS = [
  "parents_completed",
  "parent_failed",
  "started",
  "completed",
  "failed",
  "timed_out",
  "lost",
] as const;
export type TaskEvent = (typeof TASK_EVENTS)[number];

const finished: Record<TaskEvent, TaskState | "ignored"> = {
  parents_completed: "ignored",
  parent_failed: "ignored",
  started: "ignored",
  completed: "ignored",
  failed: "ignored",
  timed_out: "ignored",
  lost: "ignored",
};

const inHand: Record<TaskEvent, TaskState | "ignored"> = {
  parents_completed: "ignored",
  parent_failed: "ignored",
  started: "running",
  completed: "completed",
  failed: "failed",
  timed_out: "failed",
  lost: "queued",
};

/** The state a task is in after something happened to it; `ignored` changes nothing. */
export const TASK_TRANSITIONS: Record<TaskState, Record<TaskEvent, TaskState | "ignored">> = {
  waiting: { ...finished, parents_completed: "queued", parent_failed: "cancelled" },
  queued: inHand,
  running: inHand,
  backoff: finished,
  completed: finished,
  failed: finished,
  cancelled: finished,
  skipped: finished,
};

export const FINISHED_TASK_STATES = ["completed", "failed", "cancelled", "skipped"] as const;
export const FINISHED_RUN_STATES = ["completed", "failed", "cancelled"] as const;

/** Whether a run in this state will never change again. */
export function isFinishedRun(state: RunState): boolean {
  return state === "completed" || state === "failed" || state === "cancelled";
}
