/**
 * What Postgres knows of definitions, as the functions in `migrations/functions` give it: versions and their
 * steps, stored limits, what starts and cancels runs.
 */
import type { Backoff } from "../protocol/http.ts";
import type { Json } from "../protocol/json.ts";
import type { LabelRequest, LimitUse, PutLimit } from "../protocol/limit-bodies.ts";
import type { RollbackRule } from "../protocol/version-bodies.ts";
import type { PauseMode, StepKind, Stickiness, TimeoutChoice } from "../protocol/states.ts";

/** A tenant's stored limits, with the number that each change raises. */
export interface LimitsRow {
  version: number;
  limits: ({ name: string } & PutLimit)[];
}

/** A stored limit as its table has it. */
export interface LimitRow {
  name: string;
  definition: PutLimit;
  created_at: string;
  updated_at: string;
}

/** What dispatch is told of a version, and of a step; absent: as by default. */
export interface VersionDispatch {
  limits?: LimitUse[];
  priority?: number;
  /** Only workers that were built with the version have its tasks. */
  isPinned?: true;
}

export interface StepDispatch {
  /** Its version's. */
  sticky?: Exclude<Stickiness, "none">;
  limits?: LimitUse[];
  slots?: number;
  labels?: { [label: string]: LabelRequest };
}

/** When to try again; all of it optional for the client has been given its default. */
export interface RetryPolicy {
  retries: number;
  backoff: Required<Backoff>;
  retryIf?: string;
}

/** What a task passes between its parents' end and the queue: its step's conditions, and its wait. */
export interface GateRow {
  skipIf?: string;
  runIf?: string;
  cancelIf?: string;
  wait?: WaitRow;
}

/** What a task waits for: all conditions of one of the sets, or the end of its time. */
export interface WaitRow {
  conditions: AwaitedRow[];
  /** Conditions as bits, by their numbers. */
  sets: number[];
  timeoutMs?: number;
  onTimeout?: TimeoutChoice;
}

/** An event or a sleep; `n` is its number, from 0. */
export type AwaitedRow = AwaitedEventRow | { n: number; sleepMs: number };

export interface AwaitedEventRow extends Omit<CancelOnRow, "number"> {
  n: number;
  withinMs?: number;
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
  dispatch?: StepDispatch;
  /** Absent: its tasks are queued as soon as their parents have ended. */
  gate?: GateRow;
}

/** A workflow version as a shard keeps it. */
export interface VersionRow {
  id: string;
  workflow: string;
  workflowId: string;
  number: number;
  dispatch?: VersionDispatch;
  steps: StepRow[];
}

/** An event that cancels a version's runs, as a run's start writes it down; one that is waited for likewise. */
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

/** A filter that a version declares. */
export interface DeclaredFilterRow {
  id: string;
  /** Absent: of any scope. */
  scope?: string;
  expression: string;
  payload: Json;
  /** Without one of these the expression is not true: where in the event, and keys of what is there. */
  equalities: { path: string[]; keys: string[] }[];
}

/** A stored filter, with the id of its workflow. */
export interface FilterRow extends DeclaredFilterRow {
  workflow: string;
}

/**
 * The limit by whose key a version's runs are placed on shards: its place among the run's limits, how the version
 * uses it, and what is stored of it.
 */
export interface PlacingRow {
  index: number;
  use: Pick<LimitUse, "limit" | "key" | "fallbackKey">;
  stored?: Pick<PutLimit, "key" | "fallbackKey">;
}

export interface DefinitionsRow {
  version: number;
  /** How many shards take new runs. */
  shards: number;
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
    /** Absent: its runs are placed by their ids. */
    placing?: PlacingRow;
    /** Those that its version declares. */
    filters?: DeclaredFilterRow[];
    promoted?: PromotedRow;
  }[];
  /** Stored filters: all of them, or those that have changed since the number that was given. */
  filters: FilterRow[];
  areAllFilters: boolean;
  deletedFilters: string[];
  /** Events that cancel runs of any version, or that tasks wait for, with the paths of `CancelOnRow`. */
  awaited: { event: string; path: string[]; isLookedBackAt?: true }[];
}

/** A workflow and one of its versions. */
export interface WorkflowRow {
  id: string;
  name: string;
  created_at: string;
  definition: Json;
  paused: { at: string; mode: PauseMode } | null;
  version: { id: string; number: number; checksum: string; created_at: string };
  /** The number of the active one. */
  active: number;
  promotion: PromotionRow | null;
}

/** `share` is in hundredths of a percent. */
export interface PromotionRow {
  version: number;
  share: number;
  key: string[] | null;
  rollbackWhen: Required<RollbackRule> | null;
  started_at: string;
}

/** A version that takes a share of a workflow's new runs, as a start needs it. */
export interface PromotedRow {
  version: string;
  share: number;
  /** Where in `{input, metadata}` the value is by which runs stay together. */
  key?: string[];
  steps: number;
  timeoutMs?: number;
  cancelOn?: true;
  placing?: PlacingRow;
}
