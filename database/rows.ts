/**
 * What the functions in `migrations/functions` take and give, as types. Field names of a commit are
 * short because a batch repeats them a thousand times; `commit.sql` explains each.
 */
import type { LimitsRow } from "./definition-rows.ts";
import type { Broker, SentMessages } from "./message-rows.ts";
import type { TaskError } from "../protocol/errors.ts";
import type { EvaluationError, StartingFilter } from "../protocol/event-bodies.ts";
import type { Json, Metadata } from "../protocol/json.ts";
import type { LogLine, StepFailure } from "../protocol/session.ts";
import type { Waited } from "../protocol/wait-bodies.ts";
import type {
  ElapseRow,
  LookedRow,
  LookRow,
  MatchedRow,
  MatchPage,
  MatchRow,
  MeetRow,
  PastPage,
  SettledRow,
  SettleRow,
  WaitingRow,
} from "./match-rows.ts";
import type { MoveRow } from "./schedule-rows.ts";
import type { ShardMap } from "../protocol/shard-map.ts";
import type { AttemptOutcome, RunState, TimerKind } from "../protocol/states.ts";

export interface EventRow {
  id: string;
  k: string;
  /** Scope. */
  s?: string | undefined;
  ik?: string | undefined;
  p: Json;
  m: Metadata;
  d: number;
  r: string[];
  /** The event that it repeats. */
  ro?: string | undefined;
  /** Filters that could not be evaluated for it. */
  f?: { f: string; e: EvaluationError }[] | undefined;
  /** Where in it the values are by which runs that wait for it are found; absent: none wait. */
  c?: { p: string[] }[] | undefined;
  /** It was accepted as a message of this id: stored only if this commit removes that. */
  q?: true | undefined;
  /** A wait that begins in the same moment may look back for it. */
  l?: true | undefined;
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
  /** Steps to spill, and the lanes of the queue that they go to. */
  s?: [step: number, lane: number][] | undefined;
  /** Priority, where it is not its version's. */
  pr?: number | undefined;
  /** Milliseconds that the run may take. */
  u?: number | undefined;
  /** Held until its workflow is resumed. */
  h?: boolean | undefined;
  /** When it begins, if that is later, in milliseconds since 1970. */
  at?: number | undefined;
  /** The schedule that has started it, and the tick that it was started for. */
  sc?: string | undefined;
  tk?: number | undefined;
  /** The shard that it is dispatched by; absent: the one that starts it. */
  sh?: number | undefined;
  /** There are events that cancel it. */
  c?: boolean | undefined;
  /** The filter that has started it, and that filter's payload. */
  f?: string | undefined;
  fp?: Json | undefined;
  /** The finished run that it repeats, and the steps of it whose outputs are reused. */
  ro?: string | undefined;
  ru?: number[] | undefined;
}

export interface ResultRow {
  t: string;
  r: string;
  a: number;
  /** `skipped`: there is no attempt, and never will be. */
  s: AttemptOutcome | "skipped";
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

/** A run that is held or delayed no longer. */
export interface ReleaseRow {
  r: string;
}

/** Children that an attempt starts, or has started: by key, workflow's name, whether detached, and from when on. */
export interface SpawnRow {
  t: string;
  r: string;
  a: number;
  c: { k: string; id: string; w: string; i: Json; m: Metadata; x: boolean; at?: number }[];
}

/** A run that holds limits since a task of it was given out: its others wait for them no more. */
export interface UnlinedRow {
  r: string;
}

/** A task that goes back from the window to the queue, into the lane where it belongs. */
export interface ParkRow {
  t: string;
  r: string;
  a: number;
  l: number;
}

/** What to take from one lane of the queue: `n` tasks at most, the oldest first. */
export interface TakeRow {
  action: string;
  /** 0: what has not been sorted into lanes. */
  lane: number;
  n: number;
}

/** A lane that has tasks in the queue. */
export interface LaneRow {
  action: string;
  lane: number;
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
  /** Which broker carries what it sends; absent: pgmq. */
  broker?: Broker;
  settled?: number[];
  carried?: string[];
  events?: EventRow[];
  starts?: StartRow[];
  /** Schedules whose ticks start runs of this commit: those of one that has moved on are not started. */
  ticks?: MoveRow[];
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
  waits?: WaitingRow[];
  meets?: MeetRow[];
  elapses?: ElapseRow[];
  settles?: SettleRow[];
  looks?: LookRow[];
  looked?: LookedRow[];
  /** Take as many tasks that have been queued for too long. */
  expired?: number;
  /** List as many of the soonest timers. */
  agenda?: number;
  room: { default: number; actions: Record<string, number>; bytes: number };
  /** Landed commits of which an empty handout is kept: a sending of theirs that comes late is a repeat. */
  buried?: number[];
  take?: TakeRow[];
  unlined?: UnlinedRow[];
  parks?: ParkRow[];
  /** List as many lanes of the queue, after this one. */
  lanes?: { after?: LaneRow; n: number };
  /** The number of the stored limits that the shard knows: it is told of others. */
  limits?: number;
  /** The number of the tenant's shards that it knows: likewise. */
  map?: number;
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
  /** Absent: its version's. */
  priority?: number | null;
  /** Who had the run's last finished task, if its version is sticky. */
  worker?: string | null;
  /** Attempts that failed or ran out of time, and that were lost; absent: none. */
  failures?: number;
  rescues?: number;
  /** Of a child's task: the runs that it belongs to, its parent's first. */
  ancestors?: string[] | null;
  /** The filter that has started its run. */
  filter?: StartingFilter | null;
  /** The schedule that has started its run, and the tick that it was for, in milliseconds since 1970. */
  schedule?: { id: string; tick: number | null } | null;
  /** Only of a step that sees to a failed run. */
  failed?: StepFailure[] | null;
  /** How its wait has ended; absent: it has not waited. */
  waited?: Waited | null;
}

/** Something a shard must do at a moment: of a task, an event or a run, as TIMER_KINDS tells. */
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

export type ResultClass = "recorded" | "stale" | "gone";

export interface CommitReply {
  /** Events not stored now: matched against older definitions, or known by their key or id. */
  events?: Record<string, "stale" | { id: string; runs: string[] | null }>;
  /** Runs not started: `stale`, `moved` when their tick was seen to by somebody else, or the id of the run that had the key first. */
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
  /** Workflows of which a promoted version has had too many runs fail: its promotion is to end. */
  failing?: string[];
  spawned?: SpawnedRow[];
  /** In answer to `matches`; nothing of an event that is not there. */
  matches?: MatchPage[];
  /** In answer to `settles`. */
  settles?: SettledRow[];
  /** In answer to `looks`; nothing of a wait that looks back no more. */
  looks?: PastPage[];
  /** Timers that were set at this shard, now or by an earlier sending. */
  timers?: TimerRow[];
  /** The soonest timers of the shard, when they were asked for. */
  agenda?: TimerRow[];
  /** When the first task in the queue has been there for too long, in milliseconds since 1970. */
  expiry?: number;
  asked?: Record<string, ResultClass>;
  ready?: ReadyRow[];
  /** Actions that had tasks spilled to the queue, into lane 0; the empty one of tasks to be judged. */
  spilled?: string[];
  /** Lanes asked for by `take` that have tasks left in the queue. */
  more?: LaneRow[];
  /** In answer to `lanes`; fewer than asked for: these are the last. */
  lanes?: LaneRow[];
  /** Stored limits, when they are others than the shard knows. */
  limits?: LimitsRow;
  /** The tenant's shards, when they are others than the shard knows. */
  map?: ShardMap;
  /** Other shards that have something to do now. */
  touched?: number[];
  /** What it has sent: the broker is to be told. */
  sent?: SentMessages[];
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
  /** Runs that hold permits. */
  holders?: string[];
  /** How many lanes to list. */
  lanes?: number;
}

export interface RecoverReply {
  epoch: number;
  trusted: boolean;
  leased: string[];
  /** Of `holders`: those that are over. */
  over: string[];
  /**
   * Not trusted: runs of versions with limits that have begun and are not over, and the longest timeout
   * of the attempts that may be running unknown to the shard, in milliseconds.
   */
  holding?: { r: string; v: string; i: Json; m: Metadata }[];
  unknownMs?: number;
  lanes: LaneRow[];
  limits: LimitsRow;
  map: ShardMap;
  /** The soonest timers, at most `agenda` of the request. */
  agenda: TimerRow[];
  expiry?: number;
}
