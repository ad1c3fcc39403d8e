/**
 * Limits that are another shard's, and what others need of this one's: what is asked for and lent, in as few calls
 * as possible. While one call is on its way to a shard, what else there is to say to it waits for the next; so
 * at rest a permit costs one round trip, and under load they share one.
 *
 * A shard that begins to own keys, or has lost its memory, lends nothing until all others have said what they
 * hold of them.
 */
import { errorFields } from "../telemetry/log.ts";
import type { Loan } from "./dispatcher/borrowing.ts";
import { isLentTo, type Lent } from "./dispatcher/lending.ts";
import {
  LEASE_SLACK_MS,
  LOAN_MARGIN_MS,
  MAX_LOAN_ASK,
  MAX_LOAN_CALL,
  MIN_LOAN_MS,
  PEER_RETRY_MAX_MS,
  PEER_RETRY_MS,
} from "./dispatcher/limits.ts";
import type {
  BorrowCall,
  HeldReport,
  LendCall,
  LoanAsk,
  LoanGrant,
  LoanName,
  PeerAnswer,
  PeerHeader,
} from "./dispatcher/loan-messages.ts";
import { boundOf } from "./dispatcher/needs.ts";
import { partsOf } from "./dispatcher/permits.ts";
import { shardNumbers } from "../protocol/shard-map.ts";
import type { ShardAttempts } from "./shard-attempts.ts";
import type { ShardPeers } from "./shard-peers.ts";
import type { ShardState } from "./shard-state.ts";

interface Rest {
  until: number;
  waitMs: number;
}

/** What loans need of the shard around them. */
export interface LoanSurroundings {
  /** Places what can be placed now, and sends what there is to send. */
  settle(): void;
  /** Makes sure that the alarm goes off by then. */
  arm(at: number): void;
  /** Whether it is known what the shard holds. If not, finds out. */
  isRecovered(): boolean;
}

export class ShardLoans {
  #state: ShardState;
  #attempts: ShardAttempts;
  #peers: ShardPeers;
  #surroundings: LoanSurroundings;
  /** To be asked for, and to be told of, by shard. */
  #asking = new Map<number, Set<Loan>>();
  #telling = new Map<number, Set<Lent>>();
  /** Shards that are being called. */
  #borrowingFrom = new Set<number>();
  #lendingTo = new Set<number>();
  /** Those that could not answer, and when each is called again; by shard, and of gathering. */
  #rests = new Map<number | "gather", Rest>();
  #generation: number;
  /** Grants of loans that are not known here, by shard. */
  #unknown = new Map<number, LoanName[]>();
  #lastAt = 0;
  /** For which shards, and as which generation, all others have said what they hold. */
  #gathered: string | undefined;
  #isGathering = false;
  /** The shard whose call is being answered: what there is to tell it goes with the answer. */
  #answering: number | undefined;

  constructor(
    state: ShardState,
    attempts: ShardAttempts,
    peers: ShardPeers,
    surroundings: LoanSurroundings,
  ) {
    this.#state = state;
    this.#attempts = attempts;
    this.#peers = peers;
    this.#surroundings = surroundings;
    this.#gathered = state.storage.readGathered();
    this.#generation = state.storage.readGeneration();
  }

  /** When something must be said, if nothing happens before. */
  get nextDue(): number {
    const { borrowing, lending } = this.#state;
    let due = Math.min(borrowing.nextDue, lending.nextDue);
    for (const { until } of this.#rests.values()) due = Math.min(due, until);
    return due;
  }

  /** Other shards own what this one has owned, or it owns what others have. */
  heedOwnership(now: number): void {
    const { ownership, borrowing, lending, permits, turns, returns } = this.#state;
    const { since } = ownership.map;
    if (borrowing.since !== since) {
      borrowing.since = since;
      borrowing.void((loan) => loan.record.since !== since, now);
      lending.drop((lent) => lent.record.since !== since, permits, turns);
    }
    lending.isClosed = !ownership.isAlone && this.#gathered !== this.#term();
    turns.openAll();
    returns.openAll();
  }

  /** A new life has begun; if it can't trust what the one before knew, as somebody else to other shards. */
  recover(isTrusted: boolean, epoch: number, now: number): void {
    const { borrowing, lending, permits, turns, storage } = this.#state;
    if (isTrusted && this.#generation > 0) return;
    this.#generation = epoch;
    storage.writeGeneration(epoch);
    storage.writeLoans(borrowing.clear().map((id) => [id, undefined]));
    lending.drop(() => true, permits, turns);
    storage.writeLent(lending.takeChanged());
    this.heedOwnership(now);
  }

  /** Writes down what has changed, and says what there is to say. */
  settle(now: number): void {
    const { borrowing, lending, ownership, storage } = this.#state;
    if (borrowing.hasTouched || borrowing.nextDue <= now) {
      for (const loan of borrowing.takeTouched(now)) this.#consider(loan, now);
    }
    for (const [shard, lents] of lending.takeUntold()) {
      const others = this.#telling.get(shard) ?? new Set();
      this.#telling.set(shard, others);
      for (const lent of lents) others.add(lent);
    }
    storage.writeLoans(borrowing.takeChanged());
    storage.writeLent(lending.takeChanged());
    if (ownership.isAlone || !this.#surroundings.isRecovered()) return;
    if (lending.isClosed && lending.isWanted && !this.#isResting("gather", now))
      void this.#gather();
    for (const shard of new Set([...this.#asking.keys(), ...this.#unknown.keys()])) {
      if (!this.#isResting(shard, now)) void this.#borrow(shard);
    }
    for (const shard of this.#telling.keys()) {
      if (shard !== this.#answering) void this.#lend(shard);
    }
  }

  /** Another shard says what it keeps and needs of limits that are counted here. */
  hearBorrow(call: BorrowCall): PeerAnswer<{ grants: LoanGrant[] }> {
    const refusal = this.#refusalOf(call);
    if (refusal) return refusal;
    const { lending, permits, turns, buckets, book, map } = this.#state;
    const now = Date.now();
    const { from, generation, at } = call;
    lending.endOlder(from, generation, call.unknownUntil);
    for (const name of call.unknown) lending.takeBack(name, from, generation, permits);
    if (lending.isClosed) {
      lending.isWanted = true;
      this.#surroundings.settle();
      return { kind: "later" };
    }
    const heard: Lent[] = [];
    for (const ask of call.asks) {
      if (!this.#state.ownership.isOwn(ask.id)) continue;
      const told = lending.hear(ask, { from, generation, at, since: map.since }, permits, now);
      if (told === undefined) continue;
      const { lent, refunded } = told;
      const { rate } = boundOf({ ...partsOf(ask.id), own: ask.own }, book) ?? {};
      if (rate !== undefined && refunded !== 0) {
        buckets.settle(ask.id, rate, { reserved: refunded, used: 0 }, now);
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
    this.#surroundings.settle();
    this.#answering = undefined;
    const others = this.#telling.get(from) ?? new Set();
    this.#telling.delete(from);
    return {
      kind: "answer",
      generation: this.#generation,
      grants: [...new Set([...heard, ...others])].map((lent) => this.#grantOf(lent, now)),
    };
  }

  /** The owner of limits says what it lends of them. */
  hearLend(call: LendCall): PeerAnswer<object> {
    const refusal = this.#refusalOf(call);
    if (refusal) return refusal;
    this.#take(call.grants, call.generation, call.from);
    this.#surroundings.settle();
    return { kind: "answer", generation: this.#generation };
  }

  /** A shard that begins to own keys asks what is held of them here. */
  hearGather(header: PeerHeader): PeerAnswer<HeldReport> {
    const refusal = this.#refusalOf(header);
    if (refusal) return refusal;
    const { ownership, borrowing, permits, buckets, map, storage } = this.#state;
    const now = Date.now();
    const { from, generation } = header;
    const of = { since: map.since, generation };
    // What it has lent to us before it knew nothing counts no more.
    borrowing.void(
      ({ id, record }) =>
        ownership.ownerOf(id) === from &&
        record.generation !== 0 &&
        record.generation !== generation,
      now,
    );
    const held: HeldReport["held"] = [];
    for (const id of permits.ids()) {
      if (ownership.ownerOf(id) !== from) continue;
      const holders = [...permits.holdersOf(id)].filter((holder) => isLentTo(holder) === undefined);
      if (holders.length === 0) continue;
      const until = now + this.#longestOf(holders, now);
      const {
        name,
        seq,
        granted,
        until: ends,
      } = borrowing.report(id, holders.length, until, of, now);
      held.push({ id, name, seq, count: granted, until: ends });
    }
    const fromBuckets = [...buckets.ids()].filter((id) => ownership.ownerOf(id) === from);
    storage.writeLoans(borrowing.takeChanged());
    return {
      kind: "answer",
      generation: this.#generation,
      held,
      buckets: fromBuckets.flatMap((id) => {
        const bucket = buckets.find(id);
        return bucket ? [{ id, bucket }] : [];
      }),
      unknownUntil: permits.closedUntil,
    };
  }

  #refusalOf({
    map,
  }: PeerHeader): { kind: "later" } | { kind: "moved"; map: typeof map } | undefined {
    if (!this.#surroundings.isRecovered()) return { kind: "later" };
    this.#peers.heed(map);
    if (this.#state.map.since > map.since) return { kind: "moved", map: this.#state.map };
    return undefined;
  }

  /** How long the holders may hold it yet. */
  #longestOf(holders: readonly string[], now: number): number {
    const { leases } = this.#state;
    let longest = MIN_LOAN_MS;
    for (const holder of holders) {
      const [task, attempt] = holder.split("/");
      if (task === undefined || attempt === undefined) continue;
      const deadline = leases.find(task, Number(attempt))?.deadline ?? 0;
      if (Number.isFinite(deadline)) longest = Math.max(longest, deadline - now + LEASE_SLACK_MS);
    }
    return longest;
  }

  /** What is to be said of a loan to its owner, if anything. */
  #consider(loan: Loan, now: number): void {
    const { borrowing, ownership, permits, turns, returns, buckets, book } = this.#state;
    borrowing.hold(loan.id, permits.count(loan.id), now);
    if (ownership.isOwn(loan.id)) {
      // It is counted here by now: what was left of it is in the bucket's favour.
      const bound = loan.need && boundOf(loan.need, book);
      const { units } = loan.record;
      if (bound?.rate !== undefined && units > 0) {
        buckets.settle(loan.id, bound.rate, { reserved: units, used: 0 }, now);
      }
      return borrowing.forget(loan);
    }
    borrowing.settleUnspent(loan, now);
    const waiting = this.#waitingFor(loan, now);
    if (
      waiting.length === 0 &&
      returns.claims(loan.id) === 0 &&
      turns.lineFor(loan.id).length === 0
    ) {
      borrowing.giveBack(loan);
    }
    const { record } = loan;
    const isInUse = loan.held > 0 || record.granted > 0;
    const wantsTime = loan.held > 0 && loan.dueAt(now) <= now;
    const wantsMore = waiting.length > loan.asked;
    const wantsNothing = waiting.length === 0 && loan.asked > 0;
    const isTelling = loan.isUntold || wantsNothing || loan.askAgainAt <= now;
    if (isTelling || wantsTime || wantsMore) {
      const owner = ownership.ownerOf(loan.id);
      const others = this.#asking.get(owner);
      if (others) others.add(loan);
      else this.#asking.set(owner, new Set([loan]));
    } else if (!isInUse && waiting.length === 0 && record.pausedUntil <= now && !record.pause) {
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
    for (const lane of turns.lineFor(loan.id)) {
      for (const task of lane.length > 0 ? lane.tasks() : [lane.next]) {
        if (waiting.length >= MAX_LOAN_ASK) break;
        const own = task?.needs.needs.find(({ id }) => id === loan.id);
        if (own) waiting.push(own.units);
      }
    }
    const spare =
      bound.concurrency === undefined
        ? coveredBy(record.units, waiting)
        : Math.max(0, granted - loan.held);
    return waiting.slice(spare);
  }

  async #borrow(shard: number): Promise<void> {
    if (this.#borrowingFrom.has(shard)) return;
    const { borrowing, ownership, permits, storage } = this.#state;
    const now = Date.now();
    const asked = this.#takeAsking(shard).filter(
      // Meanwhile it may have been forgotten, or have another owner.
      (loan) => borrowing.find(loan.id) === loan && ownership.ownerOf(loan.id) === shard,
    );
    const unknown = this.#unknown.get(shard) ?? [];
    this.#unknown.delete(shard);
    if (asked.length === 0 && unknown.length === 0) return;
    const asks = asked.map((loan) => this.#askOf(loan, now));
    storage.writeLoans(borrowing.takeChanged());
    this.#lastAt = Math.max(now, this.#lastAt + 1);
    const { closedUntil: unknownUntil } = permits;
    const call = { ...this.#header(), at: this.#lastAt, unknownUntil, asks, unknown };
    this.#borrowingFrom.add(shard);
    const answer = await this.#reach(shard, (peer) => peer.hearBorrow(call));
    this.#borrowingFrom.delete(shard);
    if (answer?.kind === "answer") {
      for (const loan of asked) {
        const ask = asks.find(({ id }) => id === loan.id);
        if (ask?.pause) borrowing.endPause(loan, ask.pause.until);
      }
      this.#rests.delete(shard);
      this.#take(answer.grants, answer.generation, shard);
    } else {
      for (const loan of asked) borrowing.noteUnanswered(loan);
      this.#unknown.set(shard, [...unknown, ...(this.#unknown.get(shard) ?? [])]);
      this.#rest(shard);
    }
    this.#surroundings.settle();
  }

  /** As many as one call takes. */
  #takeAsking(shard: number): Loan[] {
    const loans = this.#asking.get(shard);
    const taken = [...(loans ?? [])].slice(0, MAX_LOAN_CALL);
    for (const loan of taken) loans?.delete(loan);
    if (loans?.size === 0) this.#asking.delete(shard);
    return taken;
  }

  #askOf(loan: Loan, now: number): LoanAsk {
    const { borrowing, turns } = this.#state;
    const { id, record, need } = loan;
    const waiting = this.#waitingFor(loan, now);
    const { name, seq, granted: keep, received, back, pause } = record;
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
      back,
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

  #take(grants: readonly LoanGrant[], generation: number, from: number): void {
    const { borrowing, permits, map } = this.#state;
    const now = Date.now();
    for (const grant of grants) {
      const loan = borrowing.take(grant, { since: map.since, generation }, now);
      if (loan === "unknown" && grant.granted > 0) {
        const { id, name, seq } = grant;
        this.#unknown.set(from, [...(this.#unknown.get(from) ?? []), { id, name, seq }]);
      }
      if (loan === undefined || loan === "unknown") continue;
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

  async #lend(shard: number): Promise<void> {
    const lents = this.#telling.get(shard);
    if (lents === undefined || this.#lendingTo.has(shard)) return;
    this.#telling.delete(shard);
    const now = Date.now();
    const grants = [...lents].map((lent) => this.#grantOf(lent, now));
    const call = { ...this.#header(), grants };
    this.#lendingTo.add(shard);
    const answer = await this.#reach(shard, (peer) => peer.hearLend(call));
    this.#lendingTo.delete(shard);
    // Whoever waits asks again; who has some of it and is not told that others wait, must be.
    if (answer?.kind !== "answer") {
      for (const lent of lents) lent.isToldContended = false;
    }
    this.#surroundings.settle();
  }

  #grantOf(lent: Lent, now: number): LoanGrant {
    const { lending, turns, returns, buckets } = this.#state;
    const { id } = lent.record;
    const isContended =
      returns.claims(id) > 0 || turns.lineFor(id).some((lane) => lane !== lent.line);
    const pausedUntil = buckets.find(id)?.pausedUntil ?? 0;
    return lending.grantOf(lent, isContended, pausedUntil > now ? pausedUntil : 0);
  }

  /** Asks every other shard what it holds of the keys that are counted here. */
  async #gather(): Promise<void> {
    if (this.#isGathering) return;
    this.#isGathering = true;
    const term = this.#term();
    const { map, name, log } = this.#state;
    const others = shardNumbers(map).filter((shard) => shard !== name.shard);
    const header = this.#header();
    const answers = await Promise.all(
      others.map(async (shard) => {
        const answer = await this.#reach(shard, (peer) => peer.hearGather(header));
        return answer?.kind === "answer" ? { ...answer, from: shard } : undefined;
      }),
    );
    this.#isGathering = false;
    if (term !== this.#term()) {
      // Meanwhile others own what: it is asked anew.
    } else if (answers.includes(undefined)) {
      this.#rest("gather");
      log.info("limits.not_gathered", { missing: answers.filter((each) => !each).length });
    } else {
      for (const answer of answers) if (answer) this.#install(answer);
      this.#rests.delete("gather");
      this.#gathered = term;
      this.#state.storage.writeGathered(term);
      this.#state.lending.isWanted = false;
      this.heedOwnership(Date.now());
      log.info("limits.gathered", { since: map.since, shards: others.length });
    }
    this.#surroundings.settle();
  }

  #install(report: HeldReport & { from: number; generation: number }): void {
    const { lending, permits, buckets, map } = this.#state;
    const { from, generation, unknownUntil } = report;
    for (const held of report.held) {
      lending.install(held, { from, generation, since: map.since }, permits);
    }
    for (const { id, bucket } of report.buckets) buckets.merge(id, bucket, Date.now());
    permits.closedUntil = Math.max(permits.closedUntil, unknownUntil);
  }

  async #reach<Answer extends PeerAnswer<object>>(
    shard: number,
    call: (peer: LoanPeer) => Promise<Answer>,
  ): Promise<Answer | undefined> {
    try {
      this.#surroundings.arm(Date.now() + LOAN_MARGIN_MS);
      const answer = await this.#peers.call(shard, call);
      if (answer.kind === "moved") this.#peers.heed(answer.map);
      return answer;
    } catch (error) {
      this.#state.log.warn("shard.not_reached", { peer: shard, ...errorFields(error) });
      return undefined;
    }
  }

  /** It can't answer now: it is called again after a while, which grows. */
  #rest(what: number | "gather"): void {
    const waitMs = Math.min(
      PEER_RETRY_MAX_MS,
      2 * (this.#rests.get(what)?.waitMs ?? PEER_RETRY_MS / 2),
    );
    const until = Date.now() + waitMs;
    this.#rests.set(what, { until, waitMs });
    this.#surroundings.arm(until);
  }

  #isResting(what: number | "gather", now: number): boolean {
    return (this.#rests.get(what)?.until ?? 0) > now;
  }

  #header(): PeerHeader {
    const { name, map } = this.#state;
    return { from: name.shard, map, generation: this.#generation };
  }

  #term(): string {
    return `${this.#state.map.since}/${this.#generation}`;
  }
}

/** What shards call each other for, of limits. */
export interface LoanPeer {
  hearBorrow(call: BorrowCall): Promise<PeerAnswer<{ grants: LoanGrant[] }>>;
  hearLend(call: LendCall): Promise<PeerAnswer<object>>;
  hearGather(header: PeerHeader): Promise<PeerAnswer<HeldReport>>;
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
