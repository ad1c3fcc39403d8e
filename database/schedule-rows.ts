/**
 * What the functions about schedules in `migrations/functions` take and give, as types. Moments are
 * milliseconds since 1970.
 */
import type { Json, Metadata } from "../protocol/json.ts";
import type { CatchUp, Overlap, PauseMode } from "../protocol/states.ts";

/** A schedule that its clock has to see to. */
export interface DueScheduleRow {
  id: string;
  /** Whoever acts on it does so only while it still has this. */
  revision: number;
  /** The workflow's name, and how that is paused. */
  workflow: string;
  paused: PauseMode | null;
  /** Null: it starts one run, `at`. */
  cron: string | null;
  timezone: string | null;
  at: number | null;
  seenUntil: number;
  input: Json;
  metadata: Metadata;
  priority: number | null;
  overlap: Overlap;
  catchUp: CatchUp;
  catchUpLimit: number;
  jitterMs: number;
  /** The run that it has started last, and whether that goes on. */
  lastRun: string | null;
  /** The shard of that run; null also when it is no longer kept. */
  lastShard: number | null;
  isPreviousUnfinished: boolean;
  /** Bytes of its input. */
  bytes: number;
}

export interface DueReply {
  due: DueScheduleRow[];
  /** When the next after those is due; null: never. */
  next: number | null;
}

/** A schedule that moves on; `move_schedules` explains each. */
export interface MoveRow {
  s: string;
  v: number;
  u: number;
  n?: number | undefined;
  d?: number | undefined;
  l?: number | undefined;
  lr?: string | undefined;
  k?: number | undefined;
  kt?: number | undefined;
  m?: number | undefined;
  g?: number | undefined;
  r?: string[] | undefined;
}

/** A schedule to be stored, as it was checked. */
export interface PutScheduleRow {
  id: string;
  /** The workflow's name. */
  w: string;
  /** Its own. */
  n?: string | undefined;
  /** Idempotency key. */
  k?: string | undefined;
  c?: string | undefined;
  z?: string | undefined;
  a?: number | undefined;
  i: Json;
  m: Metadata;
  pr?: number | undefined;
  o: Overlap;
  cu: CatchUp;
  cl: number;
  j: number;
  e: boolean;
  /** Ticks until then are not its business. */
  u: number;
  /** Its first tick, and when that is due; absent: it is disabled. */
  nt?: number | undefined;
  d?: number | undefined;
}

/** What was stored, in the order that was asked for; or why nothing was. */
export type PutSchedulesReply =
  | { schedules: { id: string; created: boolean }[] }
  | { unknownWorkflows: string[] }
  | { taken: string[] }
  | { tooMany: true };

/** What is changed of a schedule: all of its times together, and anything else that is there. */
export type ScheduleChange = Partial<Omit<PutScheduleRow, "id" | "w" | "k" | "n" | "pr">> & {
  n?: string | null;
  pr?: number | null;
};
