/**
 * What the functions in `migrations/functions` take and give, as types. Field names of a commit are
 * short because a batch repeats them a thousand times; `commit.sql` explains each.
 */
import type { TaskError } from "../protocol/errors.ts";
import type { Backoff } from "../protocol/http.ts";
import type { Json, Metadata } from "../protocol/json.ts";
import type { LogLine, StepFailure } from "../protocol/session.ts";
import type {
  AttemptOutcome,
  PauseMode,
  RunState,
  StepKind,
  TimerKind,
} from "../protocol/states.ts";

export interface EventRow {
  id: string;
  k: string;
  ik?: string | undefined;
  p: Json;
  m: Metadata;
  d: number;
  r: string[];
  /** Where in it the values are by which runs that wait for it are found; absent: none wait. */
  c?: { p: string[] }[] | undefined;
}

export interface StartRow {
  id: string;
  w: string;
  v: string;
  d: number;
  /** Tasks to execute: all steps, but those that a replay reuses. */
  n: number;
  e?: string | undefined;
  k?: string | undefined;
  i: Json;
  m: Metadata;
  s?: number[] | undefined;
  /** Milliseconds that the run may take. */
  u?: number | undefined;
  /** Held until its workflow is resumed. */
  h?: boolean | undefined;
  /** There are events that cancel it. */
  c?: boolean | undefined;
  /** The finished run that it repeats, and the steps of it whose outputs are reused. */
  ro?: string | undefined;
  ru?: number[] | undefined;
}

export interface ResultRow {
  t: string;
  r: string;
  a: number;
  s: AttemptOutcome;
  o?: Json | undefined;
  e?: TaskError | undefined;
  w?: string | undefined;
  b?: number | undefined;
  f?: number | undefined;
  /** When the next attempt is due; absent: this was the last, unless it was lost. */
  d?: number | undefined;
  /** Lost once too often: this was the last, and `e` says so. */
  x?: true | undefined;
}

/** A task whose backoff is over. */
export interface WakeRow {
  t: string;
  r: string;
}

/** An attempt in a worker's hands. */
export interface HeldRow {
  t: string;
  a: number;
  w: string;
  b: number;
}

export interface CancelRow {
  r: string;
  /** Why: with code `run_timeout` the run has failed, and unwinds; with any other it is over. */
  e: TaskError;
  /** Its attempts that workers have. */
  l: HeldRow[];
}

/** A run that is held no longer. */
export interface ReleaseRow {
  r: string;
}

/** Children that an attempt starts, or has started: by key, workflow's name, and whether detached. */
export interface SpawnRow {
  t: string;
  r: string;
  a: number;
  c: { k: string; id: string; w: string; i: Json; m: Metadata; x: boolean }[];
}

/** An event of which to list the runs that wait for it: those after run `r` and its number `n`. */
export interface MatchRow {
  e: string;
  r?: string;
  n?: number;
  /** How many at most, and in how many bytes. */
  l: number;
  b: number;
}

/** An event whose runs have been seen to: its timer goes. */
export interface MatchedRow {
  e: string;
}

export interface StartedRow {
  t: string;
  r: string;
  a: number;
  w: string;
  b: number;
}

export interface LogRow {
  t: string;
  a: number;
  n: number;
  l: LogLine[];
}

export interface AskedRow {
  t: string;
  a: number;
}

export interface CommitRequest {
  tenant: string;
  shard: number;
  epoch: number;
  seq: number;
  at: number;
  settled?: number[];
  carried?: string[];
  events?: EventRow[];
  starts?: StartRow[];
  results?: ResultRow[];
  started?: StartedRow[];
  logs?: LogRow[];
  asked?: AskedRow[];
  wakes?: WakeRow[];
  cancels?: CancelRow[];
  releases?: ReleaseRow[];
  spawns?: SpawnRow[];
  matches?: MatchRow[];
  matched?: MatchedRow[];
  /** Take as many tasks that have been queued for too long. */
  expired?: number;
  /** List as many of the soonest timers. */
  agenda?: number;
  room: { default: number; actions: Record<string, number>; bytes: number };
  take?: Record<string, number>;
  backlog?: boolean;
}

/** A ready task with what a worker needs to execute it. `step` is the step's number. */
export interface ReadyRow {
  id: string;
  run: string;
  version: string;
  step: number;
  attempt: number;
  queuedAt: number;
  input: Json;
  metadata: Metadata;
  parents: { [step: string]: Json };
  /** Attempts that failed or ran out of time, and that were lost; absent: none. */
  failures?: number;
  rescues?: number;
  /** Only of a step that sees to a failed run. */
  failed?: StepFailure[];
}

/** Something a shard must do at a moment: `retry` is of a task, `match` of an event, the others of a run. */
export interface TimerRow {
  id: string;
  k: TimerKind;
  /** When, in milliseconds since 1970. */
  d: number;
}

export interface FinishedRow {
  run: string;
  state: RunState;
  /** Of a child: the task that started it, under which key, and what came of it. */
  parent?: string;
  key?: string;
  outputs?: { [step: string]: Json } | null;
  error?: (TaskError & { step: string | null }) | null;
}

/** What became of one child that a task asked for. `finished` when it had ended before. */
export interface SpawnedRow {
  t: string;
  k: string;
  run?: string;
  refused?: "workflow_not_found" | "workflow_paused" | "stale";
  finished?: FinishedRow;
}

/** A run that may wait for an event: its condition, input and metadata. */
export interface CandidateRow {
  r: string;
  /** Which of the run's conditions, from 1. */
  n: number;
  c: string;
  i: Json;
  m: Metadata;
}

/** An event, and some of the runs that may wait for it. */
export interface MatchPage {
  e: string;
  k: string;
  p: Json;
  m: Metadata;
  runs: CandidateRow[];
  /** There may be more after the last. */
  more: boolean;
}

export type ResultClass = "recorded" | "stale" | "gone";

export interface CommitReply {
  /** Events not stored now: matched against older definitions, or known by their key. */
  events?: Record<string, "stale" | { id: string; runs: string[] | null }>;
  /** Runs not started: `stale`, or the id of the run that had the key first. */
  starts?: Record<string, string>;
  /** Runs that an earlier sending of their call had started: where their tasks are, it knows. */
  known?: string[];
  /** Results that were not applied. */
  results?: Record<string, ResultClass>;
  /** Runs that have ended now, and those of repeated results that ended then. */
  finished?: FinishedRow[];
  /**
   * Runs of `cancels` whose tasks from before are over, now or since an earlier sending. `ready` may
   * bring what comes next in one that took too long.
   */
  cancelled?: string[];
  spawned?: SpawnedRow[];
  /** In answer to `matches`; nothing of an event that is not there. */
  matches?: MatchPage[];
  /** Timers that were set at this shard, now or by an earlier sending. */
  timers?: TimerRow[];
  /** The soonest timers of the shard, when they were asked for. */
  agenda?: TimerRow[];
  /** When the first task in the queue has been there for too long, in milliseconds since 1970. */
  expiry?: number;
  asked?: Record<string, ResultClass>;
  ready?: ReadyRow[];
  /** Actions that had tasks spilled to the queue. */
  spilled?: string[];
  /** Actions asked for by `take` that have tasks left in the queue. */
  more?: string[];
  backlog?: string[];
  /** This very commit had landed before. */
  repeated?: boolean;
}

export interface RecoverRequest {
  tenant: string;
  shard: number;
  epoch: number;
  at: number;
  leases: AskedRow[];
  agenda: number;
}

export interface RecoverReply {
  epoch: number;
  trusted: boolean;
  leased: string[];
  backlog: string[];
  /** The soonest timers, at most `agenda` of the request. */
  agenda: TimerRow[];
  expiry?: number;
}

/** When to try again; all of it optional for the client has been given its default. */
export interface RetryPolicy {
  retries: number;
  backoff: Required<Backoff>;
  retryIf?: string;
}

export interface StepRow {
  name: string;
  action: string;
  kind: StepKind;
  /** Ready when its run starts. */
  isRoot: boolean;
  children: number[];
  timeoutMs: number;
  scheduleTimeoutMs?: number;
  /** Absent: a failed attempt is the last. */
  retry?: RetryPolicy;
}

/** A workflow version as a shard keeps it. */
export interface VersionRow {
  id: string;
  workflow: string;
  workflowId: string;
  number: number;
  steps: StepRow[];
}

/** An event that cancels a version's runs, as a run's start writes it down. */
export interface CancelOnRow {
  /** From 1. */
  number: number;
  event: string;
  if: string;
  /**
   * Where in the event and in the run two values must be equal for the condition to be met: a shard
   * looks at those runs only. Both empty: at all that wait for the event.
   */
  eventPath: string[];
  runPath: string[];
}

export interface DefinitionsRow {
  version: number;
  workflows: {
    id: string;
    name: string;
    version: string;
    /** Those that a run has from its start. */
    steps: number;
    events: string[];
    timeoutMs?: number;
    paused?: PauseMode;
    /** There are events that cancel its runs. */
    cancelOn?: true;
  }[];
  /** Events that cancel runs of any version, with the paths of `CancelOnRow`. */
  awaited: { event: string; path: string[] }[];
}

export interface ActiveVersionRow {
  id: string;
  name: string;
  created_at: string;
  definition: Json;
  paused: { at: string; mode: PauseMode } | null;
  version: { id: string; number: number; checksum: string; created_at: string };
}
