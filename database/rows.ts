/**
 * What the functions in `migrations/functions` take and give, as types. Field names of a commit are
 * short because a batch repeats them a thousand times; `commit.sql` explains each.
 */
import type { TaskError } from "../protocol/errors.ts";
import type { Json, Metadata } from "../protocol/json.ts";
import type { LogLine } from "../protocol/session.ts";
import type { AttemptOutcome, RunState } from "../protocol/states.ts";

export interface EventRow {
  id: string;
  k: string;
  ik?: string | undefined;
  p: Json;
  m: Metadata;
  d: number;
  r: string[];
}

export interface StartRow {
  id: string;
  w: string;
  v: string;
  d: number;
  n: number;
  e?: string | undefined;
  k?: string | undefined;
  i: Json;
  m: Metadata;
  s?: number[] | undefined;
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
}

export type ResultClass = "recorded" | "stale" | "gone";

export interface CommitReply {
  /** Events not stored now: matched against older definitions, or known by their key. */
  events?: Record<string, "stale" | { id: string; runs: string[] | null }>;
  /** Runs not started: `stale`, or the id of the run that had the key first. */
  starts?: Record<string, string>;
  /** Results that were not applied. */
  results?: Record<string, ResultClass>;
  finished?: { run: string; state: RunState }[];
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
}

export interface RecoverReply {
  epoch: number;
  trusted: boolean;
  leased: string[];
  backlog: string[];
}

export interface StepRow {
  name: string;
  action: string;
  isRoot: boolean;
  children: number[];
  timeoutMs: number;
}

/** A workflow version as a shard keeps it. */
export interface VersionRow {
  id: string;
  workflow: string;
  workflowId: string;
  number: number;
  steps: StepRow[];
}

export interface DefinitionsRow {
  version: number;
  workflows: { id: string; name: string; version: string; steps: number; events: string[] }[];
}

export interface ActiveVersionRow {
  id: string;
  name: string;
  created_at: string;
  definition: Json;
  version: { id: string; number: number; checksum: string; created_at: string };
}
