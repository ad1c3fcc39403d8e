/**
 * Rows of a commit that are about what waits for events and moments: field names are as short as in `rows.ts`,
 * and `commit.sql` explains each.
 */
import type { Json, Metadata } from "../protocol/json.ts";

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

/** A ready task that begins to wait, or one of which a moment has come that it waits for. */
export interface WaitingRow {
  t: string;
  r: string;
}

/** Likewise. */
export interface ElapseRow extends WaitingRow {
  /** Whether or not all events have been seen to: some can't be, in this life of the shard. */
  x?: true;
}

/** A wait that an event may have missed, while both were being stored. */
export interface SettleRow extends WaitingRow {
  /** The transaction that the first asking was told of. */
  h?: string;
  /** It has been asked often. */
  f?: true;
}

/** What came of that: nothing has missed it; there are events to be looked at; or it is to be asked again. */
export interface SettledRow {
  t: string;
  s: "over" | "look" | "rest";
  /** The transaction that it waits for; null: for none, what is to be looked at is all. */
  h: string | null;
}

/** A condition of a task's wait that an event has met. */
export interface MeetRow {
  t: string;
  r: string;
  n: number;
  e: string;
}

/** A wait of which to list events from before: for its conditions from `n` on, those before `e`. */
export interface LookRow {
  t: string;
  r: string;
  n: number;
  e?: string;
  /** How many to go through at most, and how many bytes to give. */
  l: number;
  b: number;
  /** Only for conditions that don't look back to before it has begun. */
  s?: true;
}

/** A wait for which the events from before have been seen to: its timer goes. */
export interface LookedRow {
  t: string;
}

/** A run, or a task of it, that may wait for an event: its condition, input and metadata. */
export interface CandidateRow {
  r: string;
  /** Which of the run's conditions, from 1. */
  n: number;
  c: string;
  i: Json;
  m: Metadata;
  /** Of a task: its parents' outputs. Its number tells which condition of which step. */
  p?: { [step: string]: Json };
}

/** Some of the events from before a wait that may meet a condition of it, the latest first. */
export interface PastPage {
  t: string;
  n: number;
  c: string;
  i: Json;
  m: Metadata;
  p: { [step: string]: Json };
  events: { e: string; k: string; p: Json; m: Metadata }[];
  /** Where to go on; null: these were the last. */
  next: string | null;
  /** There are later conditions that look back. */
  more: boolean;
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
