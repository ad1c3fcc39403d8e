/**
 * What a step waits for, as a definition says it, and what its task has waited for, as a run shows it.
 */
import type { MetCondition } from "./session.ts";
import type { TimeoutChoice } from "./states.ts";

/** An event or a sleep: `event` or `sleepMs`. */
export interface AwaitedCondition {
  /** An event's key, in full. The event must come after the wait has begun. */
  event?: string;
  /**
   * CEL over `event.key`, `event.payload`, `event.metadata`, and as a step's conditions `input`,
   * `metadata` and `parents`. One that can't be evaluated is not met. Default true.
   */
  if?: string;
  /** Of an event: it may have come so many milliseconds before. The latest counts. At most 7 days. */
  withinMs?: number;
  /** Milliseconds from the wait's beginning. At most a year. */
  sleepMs?: number;
}

/** An event, a sleep, or a group of them: exactly one of `event`, `sleepMs`, `any` and `all`. */
export interface WaitCondition extends AwaitedCondition {
  /** One of them is enough. */
  any?: AwaitedCondition[];
  /** It takes all of them. */
  all?: AwaitedCondition[];
}

/** Exactly one of `event`, `sleepMs`, `any` and `all`; at most 10 events and sleeps. */
export interface WaitFor extends AwaitedCondition {
  any?: WaitCondition[];
  all?: WaitCondition[];
  /** Milliseconds until the wait is over, whatever has come. Default never, at most a year. */
  timeoutMs?: number;
  /** What becomes of the task then. Default `fail`. */
  onTimeout?: TimeoutChoice;
}

/** What a task waits for, or has waited for. */
export interface TaskWait {
  since: string;
  timesOutAt: string | null;
  endedAt: string | null;
  /** False: its time was over first. Null: it waits, or was cancelled. */
  isMet: boolean | null;
  /** What has come so far, in this order. */
  met: MetCondition[];
}
