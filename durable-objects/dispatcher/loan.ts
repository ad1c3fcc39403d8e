/**
 * One loan: what this shard has of one key that another one owns, and what it has told that one of it.
 */
import { LOAN_ASK_MS, MIN_LOAN_MS, UNSPENT_MS } from "./limits.ts";
import type { Need } from "./needs.ts";
import type { CountId } from "./permits.ts";

/** What outlives the shard's memory. */
export interface LoanRecord {
  name: number;
  /** The change of the tenant's shards that made its owner own it, and the owner's generation. */
  since: number;
  generation: number;
  granted: number;
  seq: number;
  until: number;
  /** Units since the loan began: lent, taken by attempts, given back unused, and refunded by what was taken. */
  received: number;
  spent: number;
  returned: number;
  refunded: number;
  pausedUntil: number;
  pause?: { until: number; units: number };
}

export class Loan {
  readonly id: CountId;
  record: LoanRecord;
  /** What waits for it here, or waited last. */
  need: Need | undefined;
  /** How long an attempt under it may take, in milliseconds: the longest that waited. */
  needMs = 0;
  /** Since when it has been in use, for loans that grow with it. */
  usedSince: number | undefined;
  isContended = false;
  /** Until when it counts as full for those who would rather be cancelled than wait. */
  fullUntil = 0;
  /** There is something that its owner has not been told; and it will be, with the next call. */
  isUntold = false;
  isQueued = false;
  /** How many of those who wait the owner knows of. */
  asked = 0;
  /** When it was last asked for, and is again if no answer comes. */
  askedAt = 0;
  askAgainAt = Number.POSITIVE_INFINITY;
  askWaitMs = LOAN_ASK_MS;
  /** Since when there have been more permits than are held. */
  unspentSince: number | undefined;
  /** Since when there are units that are left, or whose spending the owner has not been told of. */
  unitsSince: number | undefined;
  /** How many were held when that was last looked at. */
  held = 0;

  constructor(id: CountId, record: LoanRecord) {
    this.id = id;
    this.record = record;
  }

  /** Units that are left. */
  get units(): number {
    const { received, spent, returned } = this.record;
    return received - spent - returned;
  }

  /** Whether its owner counts anything of it, or is to be told of something. */
  get isInUse(): boolean {
    const { granted, pause } = this.record;
    const isOwed = this.isUntold || pause !== undefined;
    return this.held > 0 || granted > 0 || this.unitsSince !== undefined || isOwed;
  }

  /** How many permits may be held here now. */
  grantedAt(now: number): number {
    return this.record.until > now ? this.record.granted : 0;
  }

  /** How long it is asked for: long enough for what runs under it, and longer the longer it has been in use. */
  leaseMs(now: number): number {
    const inUseMs = this.usedSince === undefined ? 0 : now - this.usedSince;
    return Math.max(MIN_LOAN_MS, 2 * this.needMs, Math.min(2 * inUseMs, 60 * MIN_LOAN_MS));
  }

  /** When something is to be said of it, if nothing happens before. */
  dueAt(now: number): number {
    const { granted, until } = this.record;
    const isInUse = this.held > 0 && granted > 0 && until > now;
    // Half of the time that it was lent for: then it is asked to last longer.
    const renewal = isInUse
      ? Math.max(until - this.leaseMs(now) / 2, this.askedAt + LOAN_ASK_MS)
      : Number.POSITIVE_INFINITY;
    const since = Math.min(
      this.unspentSince ?? Number.POSITIVE_INFINITY,
      this.unitsSince ?? Number.POSITIVE_INFINITY,
    );
    const unspent = since + UNSPENT_MS;
    if (this.isQueued) return unspent;
    return Math.min(this.askAgainAt, unspent, renewal);
  }
}
