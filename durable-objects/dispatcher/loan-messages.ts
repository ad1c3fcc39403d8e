/**
 * What shards say to each other of limits. All of it is state, not change: a message that is lost is made good by
 * the next, one that comes twice or late changes nothing.
 */
import type { ShardMap } from "../../protocol/shard-map.ts";
import type { Bound } from "../../protocol/limit-bodies.ts";
import type { LimitStrategy } from "../../protocol/states.ts";
import type { Bucket } from "./buckets.ts";
import type { CountId } from "./permits.ts";

/** Who speaks, and of which shards it knows. */
export interface PeerHeader {
  from: number;
  map: ShardMap;
  /** The epoch at which it last began to know nothing: what was agreed before is void. */
  generation: number;
}

/** A loan as it was at one of its grants. */
export interface LoanName {
  id: CountId;
  name: number;
  seq: number;
}

/** Of one key, from a shard to its owner. */
export interface LoanAsk {
  id: CountId;
  /** The loan's own number: counters of one with a lower number count no more. */
  name: number;
  /** The last grant that has been seen, and how many permits are kept of what was granted until then. */
  seq: number;
  keep: number;
  /** Units that each of those takes who wait for it here, the first of them first. */
  waiting: number[];
  /** How long what is lent may be used, in milliseconds. */
  leaseMs: number;
  /** Units since the loan began: lent, taken by attempts, given back unused, and refunded by what was taken. */
  received: number;
  spent: number;
  returned: number;
  refunded: number;
  /** A worker was refused so many units, until then. */
  pause?: { until: number; units: number };
  /** The bound, of a limit that no name is stored of. */
  own?: Bound;
  strategy: LimitStrategy;
  priority: number;
  weight: number;
}

/** Of one key, from its owner to a shard. */
export interface LoanGrant {
  id: CountId;
  name: number;
  seq: number;
  granted: number;
  /** Until when, in milliseconds since 1970; the owner waits a while longer. */
  until: number;
  /** Units lent since the loan began. */
  given: number;
  /** Others wait for it: what is let go of goes back. */
  isContended: boolean;
  /** Nothing is to be had of its units before. */
  pausedUntil: number;
  /** It is full, and its strategy is to cancel rather than to wait. */
  isFull?: true;
  /** As many runs that hold it are to be cancelled, the first to take it first. */
  evict?: number;
}

export interface BorrowCall extends PeerHeader {
  /** Rises with every call of this shard. */
  at: number;
  /** Attempts of which the shard knows nothing may be at work until then. */
  unknownUntil: number;
  asks: LoanAsk[];
  /** Grants of loans that it has forgotten. */
  unknown: LoanName[];
}

export interface LendCall extends PeerHeader {
  grants: LoanGrant[];
}

/** A loan as its shard tells a new owner of it. */
export type HeldLoan = LoanName &
  Pick<LoanAsk, "received" | "spent" | "returned" | "refunded"> & {
    granted: number;
    until: number;
  };

/** What a shard holds of keys that another has begun to own. */
export interface HeldReport {
  held: HeldLoan[];
  /** Buckets that it had when the keys were its own. */
  buckets: { id: CountId; bucket: Bucket }[];
  unknownUntil: number;
}

/** `later`: it does not know yet what it holds. `moved`: it knows of other shards than the caller. */
export type PeerAnswer<Content> =
  | ({ kind: "answer"; generation: number } & Content)
  | { kind: "later" }
  | { kind: "moved"; map: ShardMap };
