/**
 * Attempts whose handlers have waited for their children and want to go on. Each takes its slots and its
 * permits again in one step, or nothing. What they need is theirs before any new task's, and an older
 * one's before a younger's, so that none waits for ever; and none can wait for another in a circle.
 */
import type { Borrowing } from "./borrowing.ts";
import { type HeldPermit, type Lease, type LeaseKey, leaseKey } from "./leases.ts";
import type { Lending } from "./lending.ts";
import { LEASE_SLACK_MS } from "./limits.ts";
import type { LimitBook } from "./limit-book.ts";
import { boundOf, type Need } from "./needs.ts";
import { askForMissing, type Missing } from "./obstacles.ts";
import type { Ownership } from "./ownership.ts";
import type { CountId, Permits } from "./permits.ts";
import type { Roster } from "./roster.ts";

export interface ReturnParts {
  roster: Roster;
  permits: Permits;
  book: LimitBook;
  ownership: Ownership;
  borrowing: Borrowing;
  lending: Lending;
}

/** What stands in the way of one. `recovery`: it is not known yet what is free. */
export type ReturnObstacle =
  | { on: "limit"; id: CountId; held: number; bound: number; missing?: Missing }
  | { on: "slots" }
  | { on: "connection" }
  | { on: "recovery" };

export class Returns {
  /** In the order in which they have asked, as all sets here are. */
  #leases = new Map<LeaseKey, Lease>();
  #ofLimit = new Map<CountId, Set<Lease>>();
  #ofSession = new Map<string, Set<Lease>>();
  /** Those that are to be looked at, and that something may have become free for. */
  #fresh = new Set<Lease>();
  #openedIds = new Set<CountId>();
  #openedSessions = new Set<string>();
  #closedUntil = Number.POSITIVE_INFINITY;

  has(lease: Lease): boolean {
    return this.#leases.has(leaseKey(lease));
  }

  add(lease: Lease): void {
    this.#leases.set(leaseKey(lease), lease);
    for (const { id } of lease.holds) addTo(this.#ofLimit, id, lease);
    addTo(this.#ofSession, lease.session, lease);
    this.#fresh.add(lease);
  }

  /** It goes on, or never will. False: it did not want to. */
  drop(lease: Lease): boolean {
    if (!this.#leases.delete(leaseKey(lease))) return false;
    this.#fresh.delete(lease);
    for (const { id } of lease.holds) dropFrom(this.#ofLimit, id, lease);
    dropFrom(this.#ofSession, lease.session, lease);
    return true;
  }

  /** How many permits of it are spoken for. */
  claims(id: CountId): number {
    return this.#ofLimit.get(id)?.size ?? 0;
  }

  /** Everything that one of them needs. */
  ids(): Iterable<CountId> {
    return this.#ofLimit.keys();
  }

  /** Some of it may have become free. */
  open(id: CountId): void {
    if (this.#ofLimit.has(id)) this.#openedIds.add(id);
  }

  /** Sessions that have some. */
  sessions(): Iterable<string> {
    return this.#ofSession.keys();
  }

  /** The first of a session that wants to go on. */
  firstOf(session: string): Lease | undefined {
    const [first] = this.#ofSession.get(session) ?? [];
    return first;
  }

  openSession(session: string): void {
    if (this.#ofSession.has(session)) this.#openedSessions.add(session);
  }

  /** What limits allow has changed. */
  openAll(): void {
    for (const lease of this.#leases.values()) this.#fresh.add(lease);
  }

  /** When those may go on who wait because nobody knows what is free. */
  get nextOpening(): number {
    return this.#closedUntil;
  }

  /** Lets go on who may, each with what it needs: it holds that now. */
  grant(parts: ReturnParts, now: number): Lease[] {
    if (this.#closedUntil <= now) {
      this.#closedUntil = Number.POSITIVE_INFINITY;
      this.openAll();
    }
    const granted: Lease[] = [];
    /** Gives what still stands in its way: those behind it who wait for the same need not be asked. */
    const serve = (lease: Lease): ReturnObstacle | undefined => {
      const obstacle = this.obstacleOf(lease, parts, now);
      if (obstacle === undefined) {
        this.#take(lease, parts, now);
        granted.push(lease);
      } else if (obstacle.on === "limit") {
        askForMissing(obstacle, parts, now);
      }
      return obstacle;
    };
    for (const id of this.#openedIds) {
      for (const lease of this.#ofLimit.get(id) ?? []) {
        const obstacle = serve(lease);
        if (obstacle?.on === "limit" && obstacle.id === id) break;
      }
    }
    for (const session of this.#openedSessions) {
      for (const lease of this.#ofSession.get(session) ?? []) {
        if (serve(lease)?.on === "slots") break;
      }
    }
    for (const lease of this.#fresh) {
      const { closedUntil } = parts.permits;
      if (serve(lease)?.on === "recovery" && closedUntil > now) this.#closedUntil = closedUntil;
    }
    this.#openedIds.clear();
    this.#openedSessions.clear();
    this.#fresh.clear();
    return granted;
  }

  /** The first thing that it can't have now. To ask changes nothing. */
  obstacleOf(lease: Lease, parts: ReturnParts, now: number): ReturnObstacle | undefined {
    const { roster, permits, book } = parts;
    const session = roster.find(lease.session);
    if (session === undefined || session.closedAt !== undefined) return { on: "connection" };
    const used = session.usedSlots + this.#slotsBefore(lease);
    // One that is larger than all its worker has goes on alone, rather than never.
    const needed = Math.min(lease.slots, session.of ?? session.slots);
    if (used + needed > session.slots) return { on: "slots" };
    if (lease.holds.length === 0) return undefined;
    if (book.version === undefined || permits.closedUntil > now) return { on: "recovery" };
    for (const need of lease.holds) {
      const { concurrency: bound } = boundOf(need, book) ?? {};
      if (bound === undefined) continue;
      const held = permits.count(need.id);
      const before = held + this.#countBefore(lease, need.id);
      const obstacle = { on: "limit" as const, id: need.id, held, bound };
      if (!parts.ownership.isOwn(need.id)) {
        // The shard that counts it must have lent so much of it, for as long as the attempt has left.
        const needMs = (lease.leftMs ?? 0) + LEASE_SLACK_MS;
        if (parts.borrowing.covers(need.id, before + 1, needMs, now)) continue;
        return { ...obstacle, missing: { of: "loan", need: wantOf(need), needMs } };
      }
      if (parts.lending.isClosed) return { ...obstacle, missing: { of: "counts" } };
      if (before >= bound) return obstacle;
    }
    return undefined;
  }

  #take(lease: Lease, { roster, permits, borrowing }: ReturnParts, now: number): void {
    this.drop(lease);
    const key = leaseKey(lease);
    roster.find(lease.session)?.hold(key, lease.slots);
    for (const { id } of lease.holds) {
      permits.take(id, key);
      borrowing.hold(id, permits.count(id), now);
    }
  }

  #countBefore(lease: Lease, id: CountId): number {
    let count = 0;
    for (const other of this.#ofLimit.get(id) ?? []) {
      if (other === lease) break;
      count++;
    }
    return count;
  }

  #slotsBefore(lease: Lease): number {
    let slots = 0;
    for (const other of this.#ofSession.get(lease.session) ?? []) {
      if (other === lease) break;
      slots += other.slots;
    }
    return slots;
  }
}

function wantOf(permit: HeldPermit): Need {
  return { ...permit, isOfRun: false, units: 0, strategy: "queue" };
}

function addTo<Key>(sets: Map<Key, Set<Lease>>, key: Key, lease: Lease): void {
  const set = sets.get(key);
  if (set) set.add(lease);
  else sets.set(key, new Set([lease]));
}

function dropFrom<Key>(sets: Map<Key, Set<Lease>>, key: Key, lease: Lease): void {
  const set = sets.get(key);
  set?.delete(lease);
  if (set?.size === 0) sets.delete(key);
}
