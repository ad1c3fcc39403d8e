/**
 * Bodies of the HTTP API, as the SDK and the edge Worker share them. The Worker checks requests
 * with zod schemas that are held to these types; the OpenAPI document comes from those schemas.
 * Times are ISO 8601 in UTC; ids are UUIDs, version 7.
 */
import type { TaskError } from "./errors.ts";
import type { FilterCondition } from "./event-bodies.ts";
import type { Json, Metadata } from "./json.ts";
import type { LabelRequest, LimitUse } from "./limit-bodies.ts";
import type { CronDefinition, StartDelay } from "./schedule-bodies.ts";
import type { LogLine } from "./session.ts";
import type {
  AttemptOutcome,
  PauseMode,
  RunState,
  StepKind,
  Stickiness,
  TaskState,
  Versioning,
} from "./states.ts";
import type { Promotion } from "./version-bodies.ts";
import type { TaskWait, WaitFor } from "./wait-bodies.ts";

/** How long to wait between a failed attempt and the next: `initialMs · factorⁿ`, at most `maxMs`. */
export interface Backoff {
  /** Default a second. */
  initialMs?: number;
  /** Default 2; 1 waits the same each time. */
  factor?: number;
  /** Default five minutes, at most a day. */
  maxMs?: number;
  /** The part of each wait that is random, from 0 (none) to 1 (anything from 0 on). Default 0.5. */
  jitter?: number;
}

/** How a handler is run and tried again. */
export interface ExecutionPolicy {
  /** Milliseconds one attempt may take. Default a minute, at most a day. */
  timeoutMs?: number;
  /** Attempts after the first that failed or ran out of time. Default 0, at most 100. */
  retries?: number;
  backoff?: Backoff;
  /**
   * CEL over `error.code`, `error.name`, `error.message` and `attempt`: false ends the retries. One
   * that can't be evaluated is as good as true. Default true.
   */
  retryIf?: string;
}

/** A step of a workflow's DAG. */
export interface StepDefinition extends ExecutionPolicy {
  name: string;
  /** The handler that executes it. Default `workflow:step`. */
  action?: string;
  /** Names of the steps whose outputs it needs. Default none. */
  parents?: string[];
  /** Milliseconds it may be queued each time before it fails. Default no limit, at most 30 days. */
  scheduleTimeoutMs?: number;
  /**
   * CEL over `input`, `metadata` and `parents`, the outputs of its parents by name; a parent that was
   * skipped is not there. Judged once when they have all ended: `skipIf` true or `runIf` false, and the
   * task is skipped, and its children go on without it; else `cancelIf` true cancels the run.
   */
  skipIf?: string;
  runIf?: string;
  cancelIf?: string;
  /** What its tasks wait for once their parents have ended and its conditions let them. Default nothing. */
  waitFor?: WaitFor;
  /** Limits that each of its attempts is under, at most 5. Default none. */
  limits?: LimitUse[];
  /** Slots that an attempt takes on its worker. Default 1. */
  slots?: number;
  /** What it asks of its worker's labels, by label. */
  labels?: { [label: string]: LabelRequest };
  /** Undoes the step when the run fails after it has completed: `workflow:step:compensate`. */
  compensate?: ExecutionPolicy;
}

/** An event that cancels runs: those that were started before it and meet the condition. */
export interface CancelOn {
  /** The event's key, in full. */
  event: string;
  /**
   * CEL over `event.key`, `event.payload`, `event.metadata`, and the run's `input` and `metadata`. One
   * that can't be evaluated cancels nothing. Default true.
   */
  if?: string;
}

export interface WorkflowDefinition {
  name: string;
  description?: string;
  /** Keys of the events that start a run. Default none. */
  events?: string[];
  /**
   * Conditions under which an event of its keys starts a run: one for each that is met. Filters that are
   * stored count beside them. Without any, every event does. At most 100.
   */
  filters?: FilterCondition[];
  /** Events that cancel its unfinished runs, at most 5. Default none. */
  cancelOn?: CancelOn[];
  /** What starts runs of it by the clock while this version is active, at most 20. Default none. */
  crons?: CronDefinition[];
  steps: StepDefinition[];
  /** Limits that each of its runs is under, from its first task's dispatch to its end, at most 5. */
  limits?: LimitUse[];
  /** 1 to 3, the most urgent. Default 2. */
  priority?: number;
  /** Whether a run's later tasks go to the worker of its earlier ones. Default `none`. */
  sticky?: Stickiness;
  /**
   * Which workers execute its tasks. `compatible`, the default: all that have the action, those built with the
   * run's version first. `pinned`: those only.
   */
  versioning?: Versioning;
  /** Milliseconds a run may take, from its start to its last step's end. Default no limit. */
  timeoutMs?: number;
  /** Sees to a run that has failed, after its compensations: `workflow:on-failure`. */
  onFailure?: ExecutionPolicy;
}

export interface WorkflowVersion {
  id: string;
  /** From 1, without gaps. */
  number: number;
  checksum: string;
  createdAt: string;
}

export interface Workflow {
  id: string;
  name: string;
  createdAt: string;
  /** The active version, which new runs are bound to. */
  version: WorkflowVersion;
  definition: WorkflowDefinition;
  /** Since when and how it is paused, else null. */
  paused: { at: string; mode: PauseMode } | null;
  /** The version that takes a share of new runs beside the active one, else null. */
  promotion: Promotion | null;
}

/** The answer to a registration. `version` is the one that the definition is, active or not. */
export interface RegisteredWorkflow extends Workflow {
  /** Whether it is a new version. */
  created: boolean;
  /** The number of the active version. */
  activeVersion: number;
}

export interface StartRun extends StartDelay {
  /** The workflow's name. */
  workflow: string;
  /** Default null. */
  input?: Json;
  metadata?: Metadata;
  /** 1 to 3, the most urgent. Default its workflow's. */
  priority?: number;
  /** Two starts with the same key make one run; the key is remembered for a day. */
  idempotencyKey?: string;
}

export interface StartedRun {
  id: string;
  /** False when a run with this idempotency key existed: `id` is that run's. */
  created: boolean;
}

export interface Attempt {
  attempt: number;
  outcome: AttemptOutcome;
  worker: string | null;
  startedAt: string | null;
  finishedAt: string;
  error: TaskError | null;
}

export interface Task {
  id: string;
  step: string;
  kind: StepKind;
  action: string;
  parents: string[];
  state: TaskState;
  /** Attempts that have ended, oldest first. */
  attempts: Attempt[];
  /** The output of a completed task, else null. */
  output: Json;
  /** Why the task failed or was cancelled, else null. */
  error: TaskError | null;
  queuedAt: string | null;
  startedAt: string | null;
  finishedAt: string | null;
  /** When its backoff is over, else null. */
  retryAt: string | null;
  /** Its wait for what its step's `waitFor` says, once that has begun, else null. */
  waited: TaskWait | null;
  /** Runs that its handler has started. */
  children: { key: string; run: string; isDetached: boolean }[];
}

export interface RunSummary {
  id: string;
  workflow: string;
  version: number;
  state: RunState;
  metadata: Metadata;
  /** The event that started it, and the filter that it met, else null. */
  eventId: string | null;
  filterId: string | null;
  /** The run that this one repeats, else null. */
  replayOf: string | null;
  /** The task whose handler started it, else null. */
  parent: { run: string; task: string } | null;
  /** The schedule that started it, and the tick that it was started for, else null. */
  scheduleId: string | null;
  scheduledFor: string | null;
  createdAt: string;
  /** When its first tasks may begin, if it was started with a delay, else null. */
  startsAt: string | null;
  startedAt: string | null;
  finishedAt: string | null;
}

export interface Run extends RunSummary {
  input: Json;
  /** Why the run itself ended, when that was not a step: `cancelled`, `run_timeout`. Else null. */
  error: TaskError | null;
  /** Steps in the order of the definition, then what undoes them, then what sees to the failure. */
  tasks: Task[];
}

export interface RunResult {
  id: string;
  state: RunState;
  /** Outputs of the completed steps, by step name. */
  outputs: { [step: string]: Json };
  /** The first failed step's error, or with `step` null the run's own; else null. */
  error: (TaskError & { step: string | null }) | null;
}

/** Which runs a call is about: all of a tenant's that fit everything given. */
export interface RunFilter {
  workflow?: string;
  state?: RunState;
  /** Created then or later, and before. */
  since?: string;
  until?: string;
  metadata?: Metadata;
  /** Started by this event, by this schedule. */
  eventId?: string;
  scheduleId?: string;
}

export interface CancelRun {
  /** Shown in the run's error. */
  reason?: string;
}

export interface CancelledRun {
  id: string;
  state: RunState;
  /** False when it had finished before. */
  cancelled: boolean;
}

/** The answer to a cancellation by filter, at most a thousand runs a call. */
export interface CancelledRuns {
  cancelled: number;
  /** There are more: call again. */
  hasMore: boolean;
}

export interface ReplayRun {
  /** Begin with this step; outputs of steps that don't depend on it are reused. */
  fromStep?: string;
  /** Begin with what failed; outputs of completed steps are reused. */
  fromFailure?: boolean;
  /** Default the original's. */
  input?: Json;
  /** `original` (the default) or the workflow's active version, which reuses nothing. */
  version?: "original" | "active";
  idempotencyKey?: string;
}

/** Replays the finished runs that fit, oldest first, each once and as one call would. */
export interface ReplayRuns {
  filter: RunFilter;
  fromFailure?: boolean;
  version?: "original" | "active";
  /** Two calls with the same key and cursor make the same replays. */
  idempotencyKey?: string;
  /** `nextCursor` of the call before. */
  cursor?: string;
}

/** The answer to a replay by filter, at most a thousand runs a call. */
export interface ReplayedRuns {
  runs: { id: string; replayOf: string }[];
  /** Give it as `cursor` for the next ones; null when all have been replayed. */
  nextCursor: string | null;
}

/** A worker that is connected, or was a moment ago. */
export interface WorkerRecord {
  /** Of its session. */
  id: string;
  name: string;
  shard: number;
  state: "connected" | "paused" | "draining" | "stalled" | "disconnected";
  slots: number;
  /** Slots that hold a task. */
  usedSlots: number;
  actions: string[];
  labels: { [label: string]: string | number };
  connectedAt: string;
  /** When it was last heard of. */
  heardAt: string;
}

export interface RunLogLine extends Omit<LogLine, "at"> {
  task: string;
  step: string;
  attempt: number;
  at: string;
}

export interface PublishEvent {
  key: string;
  /** Only filters of this scope, or of any, are asked. Default none. */
  scope?: string;
  /** Default null. */
  payload?: Json;
  metadata?: Metadata;
  /** Two publications with the same key are one event; the key is remembered for a day. */
  idempotencyKey?: string;
}

export interface PublishedEvent {
  id: string;
  /** False when an event with this idempotency key existed: `id` and `runs` are that event's. */
  created: boolean;
  /** The runs it started. */
  runs: string[];
  /** It is durable, and waits to be published: what it starts is not known yet. */
  accepted?: true;
}

export interface Page<Item> {
  items: Item[];
  /** Give it as `cursor` for the next page; null on the last. */
  nextCursor: string | null;
}

export interface Shard {
  number: number;
  path: string; // where a worker opens its WebSocket, relative to the API's address
  isDraining?: boolean; // it gets no new runs, and leaves the list when it has none left
}

/** What a shard has in memory at this moment. All of it is bounded, whatever waits in the queue. */
export interface ShardLoad {
  number: number;
  /** Workers' sessions, with those that may still be resumed. */
  sessions: number;
  /** Workers that were told to come back later because too many connected at once, since its memory began. */
  refusedHandshakes: number;
  /** Attempts in workers' hands. */
  attempts: number;
  /** Tasks that could start now or wait for a limit, and bytes of what their workers will be given. */
  readyTasks: number;
  readyBytes: number;
  /** Lines that they stand in: one for each key, priority and kind of worker. */
  lanes: number;
  /** Of these, lines that are known to go on in the queue. */
  queuedLanes: number;
  /** Keys of limits that are held, and keys of rates that are not full. */
  heldKeys: number;
  buckets: number;
  pendingBytes: number; // of what is on its way to Postgres
}
