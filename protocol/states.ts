/**
 * The lifecycle as data: which state a task or a run is in, and what each thing that happens to it
 * makes of it. Postgres' enums, the SQL tests and docs/lifecycle.md follow these tables.
 */

export const TASK_STATES = [
  "waiting", // for parents that have not ended, or for what its step says
  "queued", // ready: in a shard's window, on its way to a worker, or in the queue
  "running", // a worker has held it long enough for the start to be recorded
  "backoff", // failed, and queued again when its time comes
  "completed",
  "failed",
  "cancelled", // never to run: an ancestor failed, or its run was cancelled
  "skipped", // never to run: its step's conditions said so
] as const;
export type TaskState = (typeof TASK_STATES)[number];

export const RUN_STATES = ["queued", "running", "completed", "failed", "cancelled"] as const;
export type RunState = (typeof RUN_STATES)[number];

/**
 * How one attempt ended. `lost`: its worker or shard vanished, so nobody knows what it did. `put_back`:
 * its worker met a rate limit, and gave the task back.
 */
export const ATTEMPT_OUTCOMES = [
  "completed",
  "failed",
  "timed_out",
  "lost",
  "put_back",
  "cancelled",
] as const;
export type AttemptOutcome = (typeof ATTEMPT_OUTCOMES)[number];

/** What can happen to a task. */
export const TASK_EVENTS = [
  "parents_completed",
  "wait_began", // for what its step says
  "wait_ended", // it has come, or its time is over
  "parent_failed", // for good
  "skipped", // by its step's conditions
  "started", // long enough ago to be recorded
  "completed",
  "failed", // or out of time, for good
  "retried", // failed or out of time, and to be tried again after a backoff
  "due", // its backoff is over
  "lost", // its worker vanished, or never confirmed it
  "put_back", // its worker met a rate limit that the shard knows of
  "abandoned", // lost once too often
  "expired", // queued for too long
  "cancelled", // with its run
] as const;
export type TaskEvent = (typeof TASK_EVENTS)[number];

type Next = Record<TaskEvent, TaskState | "ignored">;

const ignored = Object.fromEntries(TASK_EVENTS.map((event) => [event, "ignored"])) as Next;

const inHand: Next = {
  ...ignored,
  started: "running",
  completed: "completed",
  failed: "failed",
  retried: "backoff",
  lost: "queued",
  put_back: "queued",
  abandoned: "failed",
  cancelled: "cancelled",
};

/** The state a task is in after something happened to it; `ignored` changes nothing. */
export const TASK_TRANSITIONS: Record<TaskState, Next> = {
  waiting: {
    ...ignored,
    parents_completed: "queued",
    wait_ended: "queued",
    parent_failed: "cancelled",
    cancelled: "cancelled",
  },
  queued: { ...inHand, wait_began: "waiting", skipped: "skipped", expired: "failed" },
  running: inHand,
  backoff: { ...ignored, due: "queued", cancelled: "cancelled" },
  completed: ignored,
  failed: ignored,
  cancelled: ignored,
  skipped: ignored,
};

/** Why a DAG has a step: to be run, to undo another one, or to see to a run that has failed. */
export const STEP_KINDS = ["step", "compensate", "on_failure"] as const;
export type StepKind = (typeof STEP_KINDS)[number];

/** What a shard must do at a moment it has written down. */
export const TIMER_KINDS = [
  "retry", // of a task: its backoff is over
  "timeout", // of a run: it has taken too long
  "cancel", // of a run: its parent was cancelled
  "release", // of a run that is held or delayed: it may start
  "match", // of an event: runs and tasks may be waiting for it
  "wait", // of a task: a moment that it waits for has come
  "look", // of a task: events from before its wait are to be looked at
] as const;
export type TimerKind = (typeof TIMER_KINDS)[number];

/** What an event does to a run that waits for it, or whose task does. */
export const MATCH_KINDS = ["cancel", "wait"] as const;
export type MatchKind = (typeof MATCH_KINDS)[number];

/** What becomes of a task whose wait took too long. */
export const TIMEOUT_CHOICES = ["fail", "skip", "continue"] as const;
export type TimeoutChoice = (typeof TIMEOUT_CHOICES)[number];

/** What a limit bounds: tasks at once (permits), or units in a time (a bucket of tokens). */
export const LIMIT_KINDS = ["concurrency", "rate"] as const;
export type LimitKind = (typeof LIMIT_KINDS)[number];

/** What becomes of a task whose limit is full: it waits, its run is cancelled, or the oldest holder's is. */
export const LIMIT_STRATEGIES = ["queue", "cancel-newest", "cancel-in-progress"] as const;
export type LimitStrategy = (typeof LIMIT_STRATEGIES)[number];

/** Whether a run's later tasks go to the worker of its earlier ones: as it comes, if it can, or only. */
export const STICKINESS = ["none", "soft", "hard"] as const;
export type Stickiness = (typeof STICKINESS)[number];

/** How a worker's label is held against what a step asks for. */
export const LABEL_COMPARATORS = ["==", "!=", "<", "<=", ">", ">="] as const;
export type LabelComparator = (typeof LABEL_COMPARATORS)[number];

/** What becomes of new runs of a paused workflow: they wait until it is resumed, or don't happen. */
export const PAUSE_MODES = ["hold", "drop"] as const;
export type PauseMode = (typeof PAUSE_MODES)[number];

/** Whether a schedule starts a run while its last one goes on. */
export const OVERLAPS = ["allow", "skip", "cancel-previous"] as const;
export type Overlap = (typeof OVERLAPS)[number];

/** Which of the ticks that a schedule has missed, as in an outage, still start runs. */
export const CATCH_UPS = ["none", "last", "all"] as const;
export type CatchUp = (typeof CATCH_UPS)[number];
/** Whether a run may be executed by workers of other versions than its own. */
export const VERSIONINGS = ["compatible", "pinned"] as const;
export type Versioning = (typeof VERSIONINGS)[number];

/** Whether a registered version becomes the active one: when it is new, whatever it is, or not by this. */
export const ACTIVATION_CHOICES = ["new", "always", "never"] as const;
export type ActivationChoice = (typeof ACTIVATION_CHOICES)[number];

/** What is written down of a workflow's changes. */
export const WORKFLOW_CHANGE_KINDS = [
  "registered", // a new version
  "activated",
  "rolled_back",
  "promoted", // a share of new runs, or another share
  "promotion_ended", // by somebody
  "promotion_failed", // by itself: too many of its runs have failed
  "paused",
  "resumed",
] as const;
export type WorkflowChangeKind = (typeof WORKFLOW_CHANGE_KINDS)[number];

export const FINISHED_TASK_STATES = ["completed", "failed", "cancelled", "skipped"] as const;
export const FINISHED_RUN_STATES = ["completed", "failed", "cancelled"] as const;

/** Whether a run in this state will never change again. */
export function isFinishedRun(state: RunState): boolean {
  return state === "completed" || state === "failed" || state === "cancelled";
}
