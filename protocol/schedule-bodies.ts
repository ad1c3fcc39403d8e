/**
 * Bodies of the HTTP API about schedules. As in `http.ts`, times are ISO 8601 in UTC and ids are UUIDs,
 * version 7.
 */
import type { Json, Metadata } from "./json.ts";
import type { CatchUp, Overlap } from "./states.ts";

/** When a run begins that is started now: at most 30 days later. Default at once. */
export interface StartDelay {
  delayMs?: number;
  startAt?: string;
}

/** What its runs are started with, and how. */
export interface ScheduleOptions {
  /** Of its runs. Default null. */
  input?: Json;
  metadata?: Metadata;
  /** 1 to 3, the most urgent. Default its workflow's. */
  priority?: number;
  /** What becomes of a tick while the run before goes on. Default `allow`. */
  overlap?: Overlap;
  /**
   * Which of the ticks that were missed for more than a minute start runs when the outage is over: none, the last, or
   * all, the latest `catchUpLimit` of them. Default `last`.
   */
  catchUp?: CatchUp;
  /** With `all`. Default 100, at most 1,000. */
  catchUpLimit?: number;
  /** Its runs start up to so many milliseconds after their ticks. Default 0, at most an hour. */
  jitterMs?: number;
}

/** A schedule that a workflow declares: its version's own. */
export interface CronDefinition extends ScheduleOptions {
  /** What it is known by within its workflow. Default the expression and the zone. */
  name?: string;
  /** Minute, hour, day of the month, month, day of the week; seconds before them if there are six. */
  cron: string;
  /** IANA's name. Default UTC. */
  timezone?: string;
}

export interface CreateSchedule extends ScheduleOptions {
  /** The workflow's name. */
  workflow: string;
  /** Unique within its workflow. Default none. */
  name?: string;
  /** With `cron` it starts a run at each tick; with `at` one run. One of them must be there. */
  cron?: string;
  timezone?: string;
  at?: string;
  /** Default true. */
  isEnabled?: boolean;
  /** Two creations with the same key within a day are one. */
  idempotencyKey?: string;
}

/** What is left out stays as it is. */
export interface ChangeSchedule extends Omit<ScheduleOptions, "priority"> {
  /** Null: none. */
  name?: string | null;
  cron?: string;
  timezone?: string;
  at?: string;
  /** Null: its workflow's. */
  priority?: number | null;
  isEnabled?: boolean;
}

export interface Schedule {
  id: string;
  workflow: string;
  name: string | null;
  /** `once`: it has `at`, and neither cron nor timezone. */
  kind: "cron" | "once";
  cron: string | null;
  timezone: string | null;
  at: string | null;
  input: Json;
  metadata: Metadata;
  priority: number | null;
  overlap: Overlap;
  catchUp: CatchUp;
  catchUpLimit: number;
  jitterMs: number;
  /** The workflow's active version declares it: it changes with the workflow. */
  isDeclared: boolean;
  isEnabled: boolean;
  /** The next of its ticks; none when it is disabled or over. */
  nextTicks: string[];
  /** The last tick that started a run, and that run. */
  lastTick: string | null;
  lastRun: string | null;
  /** Ticks that started no run because the one before went on or the workflow was paused, and the last of them. */
  skipped: number;
  lastSkippedTick: string | null;
  /** Ticks that started no run because nobody was there in time. At least so many. */
  missed: number;
  /** Since when nothing can come of it any more, else null. It is forgotten a week later. */
  endedAt: string | null;
  createdAt: string;
  updatedAt: string;
}

/** The answer to a creation: `created` is false when there was one with its idempotency key. */
export interface CreatedSchedule extends Schedule {
  created: boolean;
}

/** Which ticks an expression has. Stores nothing. */
export interface PreviewSchedule {
  cron: string;
  timezone?: string;
  /** Ticks after this. Default now. */
  after?: string;
  /** Default 10, at most 100. */
  count?: number;
}

/** Ticks, and each as the clock of the zone shows it. */
export interface SchedulePreview {
  ticks: { at: string; local: string }[];
}

export interface TriggerSchedule {
  /** Two triggers with the same key within a day make one run. */
  idempotencyKey?: string;
}
