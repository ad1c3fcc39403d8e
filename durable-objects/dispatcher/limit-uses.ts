/**
 * How keys of limits are used: what their owner counts and what holders other shards name, for those who explain
 * limits to people. Read from the scheduler's own state; nothing changes by it.
 */
import type {
  Bound,
  LimitHolder,
  LimitKeyState,
  LinePosition,
  WaitReason,
} from "../../protocol/limit-bodies.ts";
import { distinct, MAX_HOLDERS, shown } from "./holders.ts";
import { isLentTo, LoanLane } from "./lent.ts";
import { boundOf, type Need } from "./needs.ts";
import { type CountId, partsOf } from "./permits.ts";
import type { SchedulerParts } from "./scheduler.ts";

/** What is asked of a key's owner by a shard that explains why a task waits for it. */
export type UseQuestion = Pick<Need, "id" | "units"> & { own?: Bound | undefined };

/** How a key is used, as its owner says. */
export interface KeyUse {
  /** At all shards. */
  held: number;
  /** Who holds it at the owner. */
  holders: LimitHolder[];
  /** Permits that are lent, by shard. */
  lent: { shard: number; count: number }[];
  isGathering: boolean;
  closedUntil?: number;
  /** Of a rate: when there are so many units, by its buckets. */
  availableAt?: number;
  isPaused: boolean;
  /** Tasks that wait elsewhere than at the shard that asks, and how many of them come before its own, at least. */
  others: number;
  ahead: number;
}

/** What one shard holds itself of a key. */
export interface HeldHere {
  count: number;
  /** At most 20. */
  holders: LimitHolder[];
}

/** A key's state as one shard knows it: all that is held if it is the owner, else what it holds itself. */
export type LimitKeyPart = LimitKeyState & { isOwn: boolean };

/** How a key is used that is counted here, for another shard of the tenant or for this one. */
export function useOf(
  { id, units, own }: UseQuestion,
  from: number,
  parts: SchedulerParts,
  now: number,
): KeyUse {
  const { permits, buckets, lending, turns, book } = parts;
  const { rate } = boundOf({ ...partsOf(id), own }, book) ?? {};
  const lent = new Map<number, number>();
  for (const holder of permits.holdersOf(id)) {
    const shard = isLentTo(holder);
    if (shard !== undefined) lent.set(shard, (lent.get(shard) ?? 0) + 1);
  }
  const waiting = turns.waitingFor(id);
  const isTheirs = (lane: unknown): boolean =>
    lane instanceof LoanLane && lane.lent.record.shard === from;
  const others = waiting.filter((lane) => !isTheirs(lane));
  const theirs = waiting.find(isTheirs);
  return {
    held: permits.count(id),
    holders: heldHere(id, parts).holders,
    lent: [...lent].map(([shard, count]) => ({ shard, count })),
    isGathering: lending.isClosed,
    ...(permits.closedUntil > now && { closedUntil: permits.closedUntil }),
    ...(rate !== undefined && { availableAt: buckets.availableAt(id, rate, units, now) }),
    isPaused: (buckets.find(id)?.pausedUntil ?? 0) > now,
    others: others.reduce((sum, { length }) => sum + length, 0),
    // Lanes take turns: of each that comes before theirs one task is sure to be earlier.
    ahead:
      theirs === undefined ? 0 : turns.aheadOf(theirs).filter((lane) => !isTheirs(lane)).length,
  };
}

/** Who holds a key at this shard; what it has lent is held at others. */
export function heldHere(id: CountId, { permits }: SchedulerParts): HeldHere {
  const holders = [...permits.holdersOf(id)].filter((holder) => isLentTo(holder) === undefined);
  return { count: holders.length, holders: holders.slice(0, MAX_HOLDERS).map(shown) };
}

/** What has been found out about a key that a reason names; `use` undefined: its owner could not be asked. */
export interface Findings {
  isOwn: boolean;
  use: KeyUse | undefined;
  /** By shard: what those hold that could be asked, with the one that explains. */
  heldAt: ReadonlyMap<number, HeldHere>;
  /** The shard that explains. */
  at: number;
}

/** The reason with what all shards know; without it what is known here, and said to be no more than that. */
export function withFindings(reason: WaitReason, findings: Findings, now: number): WaitReason {
  const { use, at, heldAt, isOwn } = findings;
  if (use === undefined) return inDoubt(reason);
  const doubt = use.isGathering ? { doubt: "gathering" as const } : {};
  if (reason.kind === "returning" && reason.needs.of === "limit") {
    return { ...reason, needs: { ...reason.needs, held: use.held, ...doubt } };
  }
  if (reason.kind === "concurrency") {
    const held = [...heldAt.values()];
    const unnamed = use.lent.map(({ shard, count }) =>
      shard === at ? 0 : Math.max(0, count - (heldAt.get(shard)?.count ?? 0)),
    );
    const heldElsewhere = unnamed.reduce((sum, count) => sum + count, 0);
    const { closedUntil } = use;
    return {
      ...reason,
      held: use.held,
      holders: distinct([...use.holders, ...held.flatMap(({ holders }) => holders)]),
      ...(heldElsewhere > 0 && { heldElsewhere }),
      ...(closedUntil !== undefined && { closedUntil: new Date(closedUntil).toISOString() }),
      ...doubt,
      line: isOwn ? reason.line : withOthers(reason.line, use),
    };
  }
  if (reason.kind === "rate") {
    const at = Math.max(
      use.availableAt ?? now,
      use.closedUntil ?? now,
      Date.parse(reason.availableAt),
    );
    return {
      ...reason,
      availableAt: new Date(at).toISOString(),
      isPaused: reason.isPaused || use.isPaused,
      ...doubt,
      line: isOwn ? reason.line : withOthers(reason.line, use),
    };
  }
  return reason;
}

function inDoubt(reason: WaitReason): WaitReason {
  const doubt = "unreached" as const;
  if (reason.kind === "returning" && reason.needs.of === "limit") {
    return { ...reason, needs: { ...reason.needs, doubt } };
  }
  if (reason.kind !== "concurrency" && reason.kind !== "rate") return reason;
  return { ...reason, doubt, line: { ...reason.line, isExact: false } };
}

/** Those who wait elsewhere take turns with those who wait here. */
function withOthers({ position, length, isExact }: LinePosition, use: KeyUse): LinePosition {
  return {
    position: position + use.ahead,
    length: length + use.others,
    isExact: isExact && use.others === 0,
  };
}

/**
 * The keys of a limit, those with most waiting first, that are held, have been taken from, or are waited for here;
 * of all or of some.
 */
export function keysOf(
  limit: string,
  parts: SchedulerParts,
  now: number,
  only?: ReadonlySet<string>,
): LimitKeyPart[] {
  const { permits, returns, buckets, book, window, ownership } = parts;
  const waiting = new Map<CountId, number>();
  for (const id of returns.ids()) waiting.set(id, returns.claims(id));
  const needs = new Map<CountId, Need>();
  for (const lane of window.lanes()) {
    for (const need of lane.next?.needs.needs ?? []) {
      if (need.limit !== limit) continue;
      needs.set(need.id, need);
      if (lane.blockedOn === need.id)
        waiting.set(need.id, (waiting.get(need.id) ?? 0) + lane.length);
    }
  }
  const ids = new Set(
    [...permits.ids(), ...returns.ids(), ...buckets.ids(), ...needs.keys()].filter((id) => {
      const { limit: name, key } = partsOf(id);
      return name === limit && (only === undefined || only.has(key));
    }),
  );
  const states = [...ids].map((id) => {
    const { key } = partsOf(id);
    const need = needs.get(id);
    const bound = need === undefined ? book.boundOf(limit, key) : boundOf(need, book);
    const bucket = buckets.find(id);
    const { concurrency, rate } = bound ?? {};
    return {
      key,
      isOwn: ownership.isOwn(id),
      waiting: waiting.get(id) ?? 0,
      ...(concurrency !== undefined && {
        held: permits.count(id),
        limit: concurrency,
        holders: heldHere(id, parts).holders,
      }),
      ...(rate !== undefined && { available: buckets.available(id, rate, now) }),
      ...(bucket !== undefined &&
        bucket.pausedUntil > now && { pausedUntil: new Date(bucket.pausedUntil).toISOString() }),
    };
  });
  return states.toSorted(
    (a, b) => b.waiting - a.waiting || (b.held ?? 0) - (a.held ?? 0) || (a.key < b.key ? -1 : 1),
  );
}
