/**
 * What of a limit stands in a task's way: of one that is counted here, its bound; of one that another shard
 * counts, what that one has lent.
 */
import type { Bound } from "../../protocol/limit-bodies.ts";
import { LEASE_SLACK_MS } from "./limits.ts";
import type { Lane, ReadyTask } from "./lane.ts";
import type { Need } from "./needs.ts";
import type { SchedulerParts } from "./scheduler.ts";

export interface Obstacle {
  need: Need;
  /** When it will stand in the way no longer, if that is known. */
  at?: number;
  /** Whether others have all that there is, or come first: not just that it is not known here. */
  isFull: boolean;
}

/** Of a limit that this shard counts, for somebody who holds none of it. */
export function obstacleHere(
  need: Need,
  { concurrency, rate }: Bound,
  lane: Lane,
  { permits, returns, buckets, turns, lending }: SchedulerParts,
  now: number,
): Obstacle | undefined {
  if ((concurrency ?? rate) !== undefined) {
    if (permits.closedUntil > now) return { need, at: permits.closedUntil, isFull: false };
    if (lending.isClosed) {
      lending.isWanted = true;
      return { need, isFull: false };
    }
  }
  if (concurrency !== undefined) {
    const isFull = permits.count(need.id) + returns.claims(need.id) >= concurrency;
    if (isFull || turns.isWaitedFor(need.id, lane)) return { need, isFull: true };
  }
  if (rate !== undefined) {
    const at = buckets.availableAt(need.id, rate, need.units, now);
    if (at > now || turns.isWaitedFor(need.id, lane)) {
      return { need, at: Math.max(at, now), isFull: false };
    }
  }
  return undefined;
}

/** Of a limit that another shard counts. Also what is held must have been lent for as long as the attempt takes. */
export function obstacleElsewhere(
  need: Need,
  { concurrency, rate }: Bound,
  { task, lane, isHolding }: { task: ReadyTask; lane: Lane; isHolding: boolean },
  { permits, returns, turns, borrowing }: SchedulerParts,
  now: number,
): Obstacle | undefined {
  const needMs = task.timeoutMs + LEASE_SLACK_MS;
  if (concurrency !== undefined) {
    const held = permits.count(need.id);
    const count = isHolding ? held : held + returns.claims(need.id) + 1;
    if (!borrowing.covers(need.id, count, needMs, now)) {
      borrowing.want(need, needMs, now);
      return { need, isFull: borrowing.takeFull(need.id) };
    }
  }
  if (isHolding) return undefined;
  if (rate !== undefined) {
    const at = borrowing.availableAt(need.id, need.units, now);
    if (at === undefined || at > now) {
      borrowing.want(need, needMs, now);
      return { need, ...(at !== undefined && { at }), isFull: false };
    }
  }
  // Nobody overtakes those who have asked before.
  if (turns.isWaitedFor(need.id, lane)) return { need, isFull: false };
  return undefined;
}
