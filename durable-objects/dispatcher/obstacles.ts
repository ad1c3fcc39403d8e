/**
 * What of a limit stands in a task's way: of one that is counted here, its bound; of one that another shard
 * counts, what that one has lent. To ask changes nothing; whoever decides says with `askForMissing` that it waits.
 */
import type { Bound } from "../../protocol/limit-bodies.ts";
import type { Borrowing } from "./borrowing.ts";
import type { Lane, ReadyTask } from "./lane.ts";
import type { Lending } from "./lending.ts";
import { LEASE_SLACK_MS } from "./limits.ts";
import type { Need } from "./needs.ts";
import type { SchedulerParts } from "./scheduler.ts";

export interface Obstacle {
  need: Need;
  /** Which of its bounds leaves nothing. */
  of: keyof Bound;
  /** When it will stand in the way no longer, if that is known. */
  at?: number;
  /** Whether others have all that there is, or come first: not just that it is not known here. */
  isFull: boolean;
  /** It is held, and only not lent for long enough. */
  isHeld?: boolean;
  missing?: Missing;
}

/** What other shards have to say first: what they hold, or that they lend more, for so long. */
export type Missing = { of: "counts" } | { of: "loan"; need: Need; needMs: number };

/** Has it be asked for, if there is something. */
export function askForMissing(
  { missing, isHeld }: Pick<Obstacle, "missing" | "isHeld">,
  { borrowing, lending }: { borrowing: Borrowing; lending: Lending },
  now: number,
): void {
  if (missing?.of === "counts") lending.isWanted = true;
  if (missing?.of !== "loan") return;
  borrowing.want(missing.need, missing.needMs, now);
  if (isHeld === true) borrowing.wantTime(missing.need.id, missing.needMs, now);
}

/** Of a limit that this shard counts, for somebody who holds none of it. */
export function obstacleHere(
  need: Need,
  { concurrency, rate }: Bound,
  lane: Lane,
  { permits, returns, buckets, turns, lending }: SchedulerParts,
  now: number,
): Obstacle | undefined {
  const of = concurrency === undefined ? "rate" : "concurrency";
  if ((concurrency ?? rate) !== undefined) {
    if (permits.closedUntil > now) return { need, of, at: permits.closedUntil, isFull: false };
    if (lending.isClosed) return { need, of, isFull: false, missing: { of: "counts" } };
  }
  if (concurrency !== undefined) {
    const isFull = permits.count(need.id) + returns.claims(need.id) >= concurrency;
    if (isFull || turns.isWaitedFor(need.id, lane)) return { need, of, isFull: true };
  }
  if (rate !== undefined) {
    const at = buckets.availableAt(need.id, rate, need.units, now);
    if (at > now || turns.isWaitedFor(need.id, lane)) {
      return { need, of: "rate", at: Math.max(at, now), isFull: false };
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
  const missing = { of: "loan" as const, need, needMs };
  if (concurrency !== undefined) {
    const held = permits.count(need.id);
    const count = isHolding ? held : held + returns.claims(need.id) + 1;
    if (!borrowing.covers(need.id, count, needMs, now)) {
      const isFull = !isHolding && borrowing.isFull(need.id, now);
      return { need, of: "concurrency", isFull, isHeld: isHolding, missing };
    }
  }
  if (isHolding) return undefined;
  if (rate !== undefined) {
    const at = borrowing.availableAt(need.id, need.units, now);
    if (at === undefined || at > now) {
      return { need, of: "rate", ...(at !== undefined && { at }), isFull: false, missing };
    }
  }
  // Nobody overtakes those who have asked before.
  if (!turns.isWaitedFor(need.id, lane)) return undefined;
  return { need, of: concurrency === undefined ? "rate" : "concurrency", isFull: false };
}
