/**
 * What this shard asks others for of the limits that are theirs, and takes of what they lend. While one call is on
 * its way to a shard, what else there is to say to it waits for the next: at rest a permit costs one round
 * trip, and under load many share one.
 */
import type { Loan } from "./dispatcher/loan.ts";
import { MAX_LOAN_ASK, MAX_LOAN_CALL } from "./dispatcher/limits.ts";
import type { LoanAsk, LoanGrant, LoanName } from "./dispatcher/loan-messages.ts";
import { boundOf } from "./dispatcher/needs.ts";
import type { ShardAttempts } from "./shard-attempts.ts";
import type { LoanCalls } from "./shard-loan-calls.ts";
import type { ShardState } from "./shard-state.ts";

/** Units of those who wait for more than has been lent, as a look has found them. */
interface Waiting {
  units: number[];
  look: number;
}

export class ShardBorrowing {
  #state: ShardState;
  #attempts: ShardAttempts;
  #calls: LoanCalls;
  /** To be asked for, by shard, with who was found to wait; and shards that are being asked. */
  #asking = new Map<number, Map<Loan, Waiting>>();
  #asked = new Set<number>();
  /** Grants of loans that are not known here, by shard. */
  #unknown = new Map<number, LoanName[]>();
  #lastAt = 0;
  /** Counts looks at what there is to say: who waits is as it was found for as long as there was no other. */
  #looks = 0;

  constructor(state: ShardState, attempts: ShardAttempts, calls: LoanCalls) {
    this.#state = state;
    this.#attempts = attempts;
    this.#calls = calls;
  }

  /** Whether an owner is to be told of grants that nobody here knows of. */
  get hasUnknown(): boolean {
    return this.#unknown.size > 0;
  }

  /** Finds out what there is to say, for `fly`. */
  collect(now: number): void {
    this.#looks++;
    const { borrowing } = this.#state;
    if (!borrowing.hasTouched && borrowing.nextDue > now) return;
    for (const loan of borrowing.takeTouched(now)) this.#consider(loan, now);
  }

  /** Says it. */
  fly(now: number): void {
    for (const shard of new Set([...this.#asking.keys(), ...this.#unknown.keys()])) {
      if (!this.#calls.isResting(shard, now)) void this.#borrow(shard);
    }
  }

  /** What is to be said of a loan to its owner, if anything. */
  #consider(loan: Loan, now: number): void {
    const { borrowing, ownership, permits, buckets, book } = this.#state;
    borrowing.hold(loan.id, permits.count(loan.id), now);
    if (ownership.isOwn(loan.id)) {
      // It is counted here by now: what was left of it is in the bucket's favour.
      const bound = loan.need && boundOf(loan.need, book);
      const { units } = loan;
      if (bound?.rate !== undefined && units > 0) {
        buckets.settle(loan.id, bound.rate, { reserved: units, used: 0 }, now);
      }
      return borrowing.forget(loan);
    }
    borrowing.settleUnspent(loan, now);
    const waiting = this.#waitingFor(loan, now);
    const { record } = loan;
    const wantsTime = loan.held > 0 && loan.dueAt(now) <= now;
    const wantsMore = waiting.length > loan.asked;
    const wantsNothing = waiting.length === 0 && loan.asked > 0;
    const isTelling = loan.isUntold || wantsNothing || loan.askAgainAt <= now;
    if (isTelling || wantsTime || wantsMore) {
      const owner = ownership.ownerOf(loan.id);
      loan.isQueued = true;
      const found = { units: waiting, look: this.#looks };
      const others = this.#asking.get(owner);
      if (others) others.set(loan, found);
      else this.#asking.set(owner, new Map([[loan, found]]));
    } else if (!loan.isInUse && waiting.length === 0 && record.pausedUntil <= now) {
      borrowing.forget(loan);
    }
  }

  /** Units of those who wait here for more than has been lent, and of what is held beyond it. */
  #waitingFor(loan: Loan, now: number): number[] {
    const { turns, returns, book } = this.#state;
    const { need, record } = loan;
    const bound = need && boundOf(need, book);
    if (bound === undefined) return [];
    const waiting: number[] = [];
    const granted = loan.grantedAt(now);
    if (bound.concurrency !== undefined) {
      const owed = Math.max(0, loan.held - granted) + returns.claims(loan.id);
      for (let index = 0; index < Math.min(owed, MAX_LOAN_ASK); index++) waiting.push(0);
    }
    // Of those who are not told of, none comes before these.
    for (const lane of turns.orderFor(loan.id)) {
      for (const task of lane.length > 0 ? lane.tasks() : [lane.next]) {
        if (waiting.length >= MAX_LOAN_ASK) break;
        const own = task?.needs.needs.find(({ id }) => id === loan.id);
        if (own) waiting.push(own.units);
      }
    }
    // Nobody overtakes whose turn it is, and the largest is enough for whoever that will be.
    waiting.sort((a, b) => b - a);
    const spare =
      bound.concurrency === undefined
        ? coveredBy(record.until > now ? loan.units : 0, waiting)
        : Math.max(0, granted - loan.held);
    return waiting.slice(spare);
  }

  async #borrow(shard: number): Promise<void> {
    if (this.#asked.has(shard)) return;
    const { borrowing, ownership, permits, storage } = this.#state;
    const now = Date.now();
    const asking = this.#takeAsking(shard).filter(
      // Meanwhile it may have been forgotten, or have another owner.
      ([loan]) => borrowing.find(loan.id) === loan && ownership.ownerOf(loan.id) === shard,
    );
    const asked = asking.map(([loan]) => loan);
    const unknown = this.#unknown.get(shard) ?? [];
    this.#unknown.delete(shard);
    if (asked.length === 0 && unknown.length === 0) return;
    const asks = asking.map(([loan, found]) => this.#askOf(loan, found, now));
    storage.writeLoans(borrowing.takeChanged());
    this.#lastAt = Math.max(now, this.#lastAt + 1);
    const { closedUntil: unknownUntil } = permits;
    const call = { ...this.#calls.header, at: this.#lastAt, unknownUntil, asks, unknown };
    this.#asked.add(shard);
    const answer = await this.#calls.reach(shard, (peer) => peer.hearBorrow(call));
    this.#asked.delete(shard);
    if (answer?.kind === "answer") {
      for (const loan of asked) {
        const ask = asks.find(({ id }) => id === loan.id);
        if (ask?.pause) borrowing.endPause(loan, ask.pause.until);
        if (borrowing.find(loan.id) === loan) borrowing.touch(loan);
      }
      this.#calls.endRest(shard);
      this.take(answer.grants, answer.generation, shard);
    } else {
      for (const loan of asked) borrowing.noteUnanswered(loan);
      if (unknown.length > 0) {
        this.#unknown.set(shard, [...unknown, ...(this.#unknown.get(shard) ?? [])]);
      }
      this.#calls.rest(shard);
    }
    this.#calls.surroundings.settle();
  }

  /** As many as one call takes. */
  #takeAsking(shard: number): [Loan, Waiting][] {
    const loans = this.#asking.get(shard);
    const taken = [...(loans ?? [])].slice(0, MAX_LOAN_CALL);
    for (const [loan] of taken) loans?.delete(loan);
    if (loans?.size === 0) this.#asking.delete(shard);
    return taken;
  }

  #askOf(loan: Loan, { units, look }: Waiting, now: number): LoanAsk {
    const { borrowing, turns } = this.#state;
    const { id, record, need } = loan;
    // While another call was on its way others may have come, or gone.
    const waiting = look === this.#looks ? units : this.#waitingFor(loan, now);
    const { name, seq, granted: keep, received, spent, returned, refunded, pause } = record;
    borrowing.noteAsked(loan, waiting.length, now);
    const line = turns.lineFor(id);
    return {
      id,
      name,
      seq,
      keep,
      waiting,
      leaseMs: loan.leaseMs(now),
      received,
      spent,
      returned,
      refunded,
      ...(pause && { pause }),
      ...(need?.own && { own: need.own }),
      strategy: need?.strategy ?? "queue",
      priority: Math.max(1, ...line.map(({ priority }) => priority)),
      weight: Math.max(
        1,
        line.reduce((sum, { weight }) => sum + weight, 0),
      ),
    };
  }

  /** What an owner has said that it lends. */
  take(grants: readonly LoanGrant[], generation: number, from: number): void {
    const { borrowing, permits, turns, map } = this.#state;
    const now = Date.now();
    for (const grant of grants) {
      const loan = borrowing.take(grant, { since: map.since, generation }, now);
      if (loan === "unknown" && grant.granted > 0) {
        const { id, name, seq } = grant;
        this.#unknown.set(from, [...(this.#unknown.get(from) ?? []), { id, name, seq }]);
      }
      if (loan === undefined || loan === "unknown") continue;
      // Those it was said of may have gone meanwhile: then it is nobody's news.
      const isHeard = turns.lineFor(loan.id).length > 0;
      if (grant.isFull === true && isHeard) borrowing.noteFull(loan, now);
      permits.noteFreed(loan.id);
      if (grant.evict !== undefined) this.#evict(loan);
    }
    this.#attempts.limits.heedLoans(now);
  }

  /** The first run here to hold it has to go. */
  #evict({ id, need }: Loan): void {
    const [oldest] = this.#state.permits.holdersOf(id);
    if (oldest === undefined || need === undefined) return;
    this.#attempts.waiting.evictHolder(oldest, need);
  }
}

/** How many of the first of them have enough. */
function coveredBy(units: number, waiting: readonly number[]): number {
  let left = units + 1e-9;
  let count = 0;
  for (const each of waiting) {
    left -= each;
    if (left < 0) break;
    count++;
  }
  return count;
}
