/**
 * What this shard has borrowed of limits that others own: permits that its tasks may hold, and units that they may
 * take. It never uses more than it was lent, nor for longer, whatever becomes of the messages between them.
 */
import { LOAN_ASK_MAX_MS, LOAN_ASK_MS, UNSPENT_MS } from "./limits.ts";
import { Loan, type LoanRecord } from "./loan.ts";
import type { HeldLoan, LoanGrant } from "./loan-messages.ts";
import type { Need } from "./needs.ts";
import type { CountId } from "./permits.ts";

export class Borrowing {
  #loans = new Map<CountId, Loan>();
  /** Those of which something is to be said to their owner, or may be. */
  #touched = new Set<Loan>();
  #changed = new Set<CountId>();
  #lastName = 0;
  /** No loan is due before. */
  #due = Number.POSITIVE_INFINITY;
  /** The change of the tenant's shards that says who owns what. */
  since = 0;

  get size(): number {
    return this.#loans.size;
  }

  /** Whether an owner counts anything that is here, or is to be told of something. */
  get isInUse(): boolean {
    for (const loan of this.#loans.values()) if (loan.isInUse) return true;
    return false;
  }

  restore(id: CountId, record: LoanRecord): void {
    const loan = new Loan(id, record);
    loan.isUntold = true; // whatever the life before was about to say
    if (loan.units > 0) loan.unitsSince = 0;
    this.#loans.set(id, loan);
    this.#lastName = Math.max(this.#lastName, record.name);
    this.#touched.add(loan);
  }

  find(id: CountId): Loan | undefined {
    return this.#loans.get(id);
  }

  loans(): Iterable<Loan> {
    return this.#loans.values();
  }

  /** What was borrowed is void: of keys that have another owner now, or one that knows nothing of it. */
  void(isVoid: (loan: Loan) => boolean, now: number): void {
    for (const loan of this.#loans.values()) if (isVoid(loan)) this.#void(loan, now);
  }

  #void(loan: Loan, now: number): void {
    loan.record = this.#anew(loan, now);
    loan.asked = 0;
    loan.unspentSince = undefined;
    loan.isContended = false;
    loan.fullUntil = 0;
    this.#owe(loan);
  }

  /** The same loan of another owner: units that are left were taken from a bucket, and may be used. */
  #anew({ record, units }: Loan, now: number): LoanRecord {
    const { until, pausedUntil, pause } = record;
    const left = units > 0 && until > now ? { received: units, until } : {};
    return { ...this.#fresh(now), ...left, pausedUntil, ...(pause && { pause }) };
  }

  /** Whether an owner has become somebody else since it was of this generation. */
  knowsLater(owner: number, generation: number, ownerOf: (id: CountId) => number): boolean {
    for (const { id, record } of this.#loans.values()) {
      if (record.since === this.since && record.generation > generation && ownerOf(id) === owner) {
        return true;
      }
    }
    return false;
  }

  clear(): CountId[] {
    const ids = [...this.#loans.keys()];
    this.#loans.clear();
    this.#touched.clear();
    this.#changed.clear();
    return ids;
  }

  /** Something here waits for it. */
  want(need: Need, needMs: number, now: number): void {
    const loan = this.#loans.get(need.id) ?? this.#begin(need.id, now);
    loan.need = need;
    loan.needMs = Math.max(loan.needMs, needMs);
    this.#touched.add(loan);
  }

  /** Something here waits that holds it, until it is lent for so long. */
  wantTime(id: CountId, needMs: number, now: number): void {
    const loan = this.#loans.get(id);
    if (loan === undefined || loan.grantedAt(now) < loan.held) return; // permits come first, and with them time
    if (loan.record.until < now + needMs) this.#owe(loan);
  }

  /** What is held of it is to be held for so long. */
  prolong(id: CountId, needMs: number): void {
    const loan = this.#loans.get(id);
    if (loan === undefined) return;
    loan.needMs = Math.max(loan.needMs, needMs);
    this.#owe(loan);
  }

  /** Whether so many permits may be held for so long. */
  covers(id: CountId, count: number, needMs: number, now: number): boolean {
    const loan = this.#loans.get(id);
    return loan !== undefined && loan.grantedAt(now) >= count && loan.record.until >= now + needMs;
  }

  /** When so many units may be taken, if that is known; undefined: when they have been lent. */
  availableAt(id: CountId, units: number, now: number): number | undefined {
    const loan = this.#loans.get(id);
    if (loan === undefined) return undefined;
    const { pausedUntil, until } = loan.record;
    if (pausedUntil > now) return pausedUntil;
    // Sums of fractions fall short by less than this.
    return until > now && loan.units + 1e-9 >= units ? now : undefined;
  }

  /** Its owner has said that it is full. That is old soon, but not before a task has come from the queue to hear it. */
  noteFull(loan: Loan, now: number): void {
    loan.fullUntil = now + UNSPENT_MS;
  }

  /** Whether its owner has just said that it is full, to one who would rather be cancelled than wait. */
  isFull(id: CountId, now: number): boolean {
    return now < (this.#loans.get(id)?.fullUntil ?? 0);
  }

  /** One of those who wait has acted on that, and it is not said again to the next. */
  heedFull(id: CountId): void {
    const loan = this.#loans.get(id);
    if (loan) loan.fullUntil = 0;
  }

  spend(id: CountId, units: number, now: number): void {
    const loan = this.#loans.get(id);
    if (loan === undefined) return;
    loan.record.spent += units;
    loan.unitsSince ??= now;
    this.#changed.add(id);
    this.#plan(loan, now);
  }

  /** So many are held here now: more than before, or fewer. Under contention what was let go of goes back. */
  hold(id: CountId, count: number, now: number): void {
    const loan = this.#loans.get(id);
    if (loan === undefined) return;
    const { record } = loan;
    const freed = Math.max(0, loan.held - count);
    loan.held = count;
    loan.usedSince = count > 0 ? (loan.usedSince ?? now) : undefined;
    if (freed > 0 && loan.isContended) this.#lower(loan, Math.max(count, record.granted - freed));
    if (record.granted <= count) loan.unspentSince = undefined;
    else loan.unspentSince ??= now;
    this.#plan(loan, now);
  }

  /** An attempt has taken `used` units in place of what was reserved for it. */
  refund(id: CountId, units: number, now: number): void {
    const loan = this.#loans.get(id) ?? this.#begin(id, now);
    loan.record.refunded += units;
    this.#owe(loan);
  }

  /** A worker was refused so many units: nothing until then. */
  pause(id: CountId, pause: { until: number; units: number }, now: number): void {
    const loan = this.#loans.get(id) ?? this.#begin(id, now);
    const { record } = loan;
    record.pause = { ...pause, until: Math.max(pause.until, record.pause?.until ?? 0) };
    this.#stopUntil(loan, pause.until);
  }

  /** The owner has heard of the pause. */
  endPause(loan: Loan, until: number): void {
    if (loan.record.pause === undefined || loan.record.pause.until > until) return;
    delete loan.record.pause;
    this.#changed.add(loan.id);
  }

  #stopUntil(loan: Loan, until: number): void {
    const { record } = loan;
    if (until > record.pausedUntil) record.pausedUntil = until;
    record.returned += loan.units;
    this.#owe(loan);
  }

  /** Keeps no more than is held, of what nobody has used for a while. */
  settleUnspent(loan: Loan, now: number): void {
    if (loan.unspentSince !== undefined && loan.unspentSince + UNSPENT_MS <= now) {
      this.#lower(loan, loan.held);
      loan.unspentSince = undefined;
    }
    if (loan.unitsSince === undefined || loan.unitsSince + UNSPENT_MS > now) return;
    loan.record.returned += Math.max(0, loan.units);
    loan.unitsSince = undefined;
    this.#owe(loan);
  }

  #lower(loan: Loan, granted: number): void {
    if (granted >= loan.record.granted) return;
    loan.record.granted = granted;
    this.#owe(loan);
  }

  /** Its owner is to be told, and again if it could not be. */
  #owe(loan: Loan): void {
    loan.isUntold = true;
    this.touch(loan);
  }

  /** The owner has said what is lent: of a loan that is not known here, or of one that counts no more. */
  take(grant: LoanGrant, of: Owner, now: number): Loan | "unknown" | undefined {
    const loan = this.#loans.get(grant.id);
    if (loan === undefined || loan.record.name !== grant.name) return "unknown";
    const { record } = loan;
    if (record.since !== of.since || of.generation < record.generation) return undefined;
    if (record.generation !== 0 && record.generation !== of.generation) {
      this.#void(loan, now);
      return undefined;
    }
    record.generation = of.generation;
    if (grant.seq > record.seq) {
      loan.asked = Math.max(0, loan.asked - Math.max(0, grant.granted - record.granted));
      loan.askWaitMs = LOAN_ASK_MS;
      record.seq = grant.seq;
      record.granted = grant.granted;
    }
    if (grant.seq === record.seq) record.until = Math.max(record.until, grant.until);
    if (grant.given > record.received) {
      loan.askWaitMs = LOAN_ASK_MS;
      record.received = grant.given;
      record.until = Math.max(record.until, grant.until);
      loan.unitsSince ??= now;
    }
    loan.isContended = grant.isContended;
    if (grant.pausedUntil > Math.max(now, record.pausedUntil)) {
      this.#stopUntil(loan, grant.pausedUntil);
    }
    if (record.granted > loan.held) loan.unspentSince ??= now;
    this.touch(loan);
    this.#plan(loan, now);
    return loan;
  }

  /** What a shard that has begun to own the key is told: it counts this, and nothing else of ours. */
  report(id: CountId, count: number, until: number, of: Owner, now: number): HeldLoan {
    const loan = this.#loans.get(id) ?? this.#begin(id, now);
    // The same answer again, should the first have been lost.
    const isSame = loan.record.since === of.since && loan.record.generation === of.generation;
    if (!isSame) loan.record = { ...this.#anew(loan, now), ...of, seq: 1 };
    const { record } = loan;
    record.granted = isSame ? Math.min(record.granted, count) : count;
    if (count > 0) record.until = Math.max(record.until, until);
    loan.held = count;
    this.touch(loan);
    const { name, seq, granted, until: ends, received, spent, returned, refunded } = record;
    return { id, name, seq, granted, until: ends, received, spent, returned, refunded };
  }

  /** Its owner could not be asked. */
  noteUnanswered(loan: Loan): void {
    if (this.#loans.get(loan.id) === loan) this.#owe(loan);
  }

  touch(loan: Loan): void {
    this.#touched.add(loan);
    this.#changed.add(loan.id);
  }

  /** Those of which something may be to be said. */
  takeTouched(now: number): Loan[] {
    if (this.#due <= now) {
      this.#due = Number.POSITIVE_INFINITY;
      for (const loan of this.#loans.values()) {
        if (loan.dueAt(now) <= now) this.#touched.add(loan);
        else this.#plan(loan, now);
      }
    }
    const touched = [...this.#touched];
    this.#touched.clear();
    return touched;
  }

  get hasTouched(): boolean {
    return this.#touched.size > 0;
  }

  /** It has been asked for. Again, unless the owner has something sooner; or it need not be. */
  noteAsked(loan: Loan, count: number, now: number): void {
    const isWanted = count > 0;
    loan.asked = count;
    loan.isUntold = loan.isQueued = false;
    loan.askedAt = now;
    loan.askAgainAt = isWanted ? now + loan.askWaitMs : Number.POSITIVE_INFINITY;
    if (isWanted) loan.askWaitMs = Math.min(LOAN_ASK_MAX_MS, 2 * loan.askWaitMs);
    this.#plan(loan, now);
  }

  /** Nothing of it is here, and nobody wants any: its owner forgets it as well. */
  forget(loan: Loan): void {
    this.#loans.delete(loan.id);
    this.#touched.delete(loan);
    this.#changed.add(loan.id);
  }

  /** Those that have changed since this was last asked; undefined: gone. */
  takeChanged(): [CountId, LoanRecord | undefined][] {
    if (this.#changed.size === 0) return [];
    const changed = [...this.#changed].map((id): [CountId, LoanRecord | undefined] => [
      id,
      this.#loans.get(id)?.record,
    ]);
    this.#changed.clear();
    return changed;
  }

  /** When one of them needs attention, or before. */
  get nextDue(): number {
    return this.#due;
  }

  #plan(loan: Loan, now: number): void {
    this.#due = Math.min(this.#due, loan.dueAt(now));
  }

  #begin(id: CountId, now: number): Loan {
    const loan = new Loan(id, this.#fresh(now));
    this.#loans.set(id, loan);
    return loan;
  }

  #fresh(now: number): LoanRecord {
    this.#lastName = Math.max(now, this.#lastName + 1);
    return {
      name: this.#lastName,
      since: this.since,
      generation: 0,
      granted: 0,
      seq: 0,
      until: 0,
      received: 0,
      spent: 0,
      returned: 0,
      refunded: 0,
      pausedUntil: 0,
    };
  }
}

interface Owner {
  since: number;
  generation: number;
}
