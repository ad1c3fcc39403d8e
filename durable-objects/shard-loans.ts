/**
 * Limits between shards: what this one borrows of others' (`shard-borrowing.ts`), lends of its own, and must know
 * before it may (`shard-gathering.ts`).
 */
import type { Lent } from "./dispatcher/lent.ts";
import type {
  BorrowCall,
  HeldReport,
  LendCall,
  LoanGrant,
  PeerAnswer,
  PeerHeader,
} from "./dispatcher/loan-messages.ts";
import { boundOf } from "./dispatcher/needs.ts";
import { partsOf } from "./dispatcher/permits.ts";
import type { ShardAttempts } from "./shard-attempts.ts";
import { ShardBorrowing } from "./shard-borrowing.ts";
import { ShardGathering } from "./shard-gathering.ts";
import { isOver } from "./shard-limits.ts";
import { LoanCalls, type LoanSurroundings } from "./shard-loan-calls.ts";
import type { ShardPeers } from "./shard-peers.ts";
import type { ShardState } from "./shard-state.ts";

export class ShardLoans {
  #state: ShardState;
  #calls: LoanCalls;
  #borrowing: ShardBorrowing;
  #gathering: ShardGathering;
  /** To be told of, by shard; and shards that are being told. */
  #telling = new Map<number, Set<Lent>>();
  #told = new Set<number>();
  /** The shard whose call is being answered: what there is to tell it goes with the answer. */
  #answering: number | undefined;

  constructor(
    state: ShardState,
    attempts: ShardAttempts,
    peers: ShardPeers,
    surroundings: LoanSurroundings,
  ) {
    this.#state = state;
    this.#calls = new LoanCalls(state, peers, surroundings);
    this.#borrowing = new ShardBorrowing(state, attempts, this.#calls);
    this.#gathering = new ShardGathering(state, this.#calls);
    this.heedOwnership(Date.now());
  }

  /** When something must be said, if nothing happens before. */
  get nextDue(): number {
    const { borrowing, lending } = this.#state;
    return Math.min(this.#calls.nextDue, borrowing.nextDue, lending.nextDue);
  }

  /** Other shards own what this one has owned, or it owns what others have. */
  heedOwnership(now: number): void {
    const { ownership, borrowing, lending, permits, buckets, turns, returns } = this.#state;
    const { since } = ownership.map;
    if (borrowing.since !== since) {
      borrowing.since = since;
      borrowing.void((loan) => loan.record.since !== since, now);
      for (const { id, until } of lending.keysOut()) buckets.freeze(id, until, now);
      lending.drop((lent) => lent.record.since !== since, permits, turns);
    }
    this.#gathering.heedOwnership();
    turns.openAll();
    returns.openAll();
  }

  /** A new life has begun; if it can't trust what the one before knew, as somebody else to other shards. */
  recover(isTrusted: boolean, epoch: number, now: number): void {
    const { borrowing, lending, permits, turns, storage } = this.#state;
    if (isTrusted && this.#calls.generation > 0) return;
    this.#calls.beginGeneration(epoch);
    storage.writeLoans(borrowing.clear().map((id) => [id, undefined]));
    lending.drop(() => true, permits, turns);
    storage.writeLent(lending.takeChanged());
    this.heedOwnership(now);
  }

  /** Writes down what has changed, and says what there is to say. */
  settle(now: number): void {
    const { borrowing, lending, ownership, storage } = this.#state;
    this.#borrowing.collect(now);
    for (const [shard, lents] of lending.takeUntold()) {
      const others = this.#telling.get(shard) ?? new Set();
      this.#telling.set(shard, others);
      for (const lent of lents) others.add(lent);
    }
    storage.writeLoans(borrowing.takeChanged());
    storage.writeLent(lending.takeChanged());
    this.#calls.endRests(now);
    if (ownership.isAlone) return;
    // What a life before this one has left is a reason to recover.
    const hasLoans = borrowing.size + lending.size > 0 || this.#borrowing.hasUnknown;
    if ((!hasLoans && !lending.isWanted) || !this.#calls.surroundings.isRecovered()) return;
    this.#gathering.fly(now);
    this.#borrowing.fly(now);
    for (const shard of this.#telling.keys()) {
      if (shard !== this.#answering) void this.#lend(shard);
    }
  }

  /** Another shard says what it keeps and needs of limits that are counted here. */
  hearBorrow(call: BorrowCall): PeerAnswer<{ grants: LoanGrant[] }> {
    const refusal = this.#calls.refusalOf(call);
    if (refusal) return refusal;
    const { lending, permits, turns, buckets, book, map } = this.#state;
    const now = Date.now();
    const { from, generation, at } = call;
    lending.endOlder(from, generation, call.unknownUntil);
    for (const name of call.unknown) lending.takeBack(name, from, generation, permits);
    if (lending.isClosed) {
      lending.isWanted = true;
      this.#calls.surroundings.settle();
      return { kind: "later" };
    }
    const heard: Lent[] = [];
    for (const ask of call.asks) {
      if (!this.#state.ownership.isOwn(ask.id)) continue;
      const told = lending.hear(ask, { from, generation, at, since: map.since }, permits, now);
      if (told === undefined) continue;
      const { lent, units } = told;
      const { rate } = boundOf({ ...partsOf(ask.id), own: ask.own }, book) ?? {};
      if (rate !== undefined && units !== 0) {
        buckets.settle(ask.id, rate, { reserved: units, used: 0 }, now);
        turns.open(ask.id);
      }
      if (rate !== undefined && ask.pause) {
        buckets.pause(ask.id, rate, ask.pause, now);
        lending.tellAll(ask.id);
      }
      turns.remove(lent.line);
      turns.join(lent.line);
      heard.push(lent);
    }
    this.#answering = from;
    this.#calls.surroundings.settle();
    this.#answering = undefined;
    const others = this.#telling.get(from) ?? new Set();
    this.#telling.delete(from);
    return {
      kind: "answer",
      generation: this.#calls.generation,
      grants: [...new Set([...heard, ...others])].map((lent) => this.#grantOf(lent, now)),
    };
  }

  /** The owner of limits says what it lends of them. */
  hearLend(call: LendCall): PeerAnswer<object> {
    const refusal = this.#calls.refusalOf(call);
    if (refusal) return refusal;
    this.#borrowing.take(call.grants, call.generation, call.from);
    this.#calls.surroundings.settle();
    return { kind: "answer", generation: this.#calls.generation };
  }

  /** A shard that begins to own keys asks what is held of them here. */
  hearGather(header: PeerHeader): PeerAnswer<HeldReport> {
    return this.#gathering.hear(header);
  }

  async #lend(shard: number): Promise<void> {
    const lents = this.#telling.get(shard);
    if (lents === undefined || this.#told.has(shard)) return;
    this.#telling.delete(shard);
    const now = Date.now();
    const grants = [...lents].map((lent) => this.#grantOf(lent, now));
    const call = { ...this.#calls.header, grants };
    this.#told.add(shard);
    const answer = await this.#calls.reach(shard, (peer) => peer.hearLend(call));
    this.#told.delete(shard);
    // Whoever waits asks again; who has some of it and is not told that others wait, must be.
    if (answer?.kind !== "answer") {
      for (const lent of lents) lent.isToldContended = false;
    }
    this.#calls.surroundings.settle();
  }

  #grantOf(lent: Lent, now: number): LoanGrant {
    const { lending, turns, returns, buckets, permits, book } = this.#state;
    const { id } = lent.record;
    const isContended =
      returns.claims(id) > 0 ||
      turns.lineFor(id).some((lane) => lane !== lent.line) ||
      isOver(id, permits, book);
    const pausedUntil = buckets.find(id)?.pausedUntil ?? 0;
    return lending.grantOf(lent, isContended, pausedUntil > now ? pausedUntil : 0);
  }
}
