/**
 * What this shard has lent of the limits that it owns. A permit that is lent is held here like any other, by the
 * shard that has it; units that are lent have left their bucket. Shards that want more stand in the same lines
 * as the tasks that are here, each as a lane of its own.
 */
import { endOf, endOfLoan, Lent, type LentRecord, type LoanLane } from "./lent.ts";
import type { HeldLoan, LoanAsk, LoanGrant, LoanName } from "./loan-messages.ts";
import type { CountId, Holder, Permits } from "./permits.ts";
import type { Turns } from "./turns.ts";

export class Lending {
  #lent = new Map<string, Lent>();
  #ofKey = new Map<CountId, Set<Lent>>();
  #changed = new Set<string>();
  /** Those of which their shards are to be told. */
  #untold = new Set<Lent>();
  #lines = 0;
  #due = Number.POSITIVE_INFINITY;
  /** It is not known yet what others hold of the keys that are counted here. */
  isClosed = false;
  /** Something waits for that to be known. */
  isWanted = false;
  #unitsChange: (id: CountId) => void;

  /** @param unitsChange Called before fewer units of a key are lent. */
  constructor(unitsChange: (id: CountId) => void = () => {}) {
    this.#unitsChange = unitsChange;
  }

  get size(): number {
    return this.#lent.size;
  }

  restore(record: LentRecord, permits: Permits): void {
    this.#count(this.#add(record), record.granted, permits);
  }

  /** What was lent counts no more: others own it, or its shards will say again what they hold. */
  drop(isOver: (lent: Lent) => boolean, permits: Permits, turns: Turns): void {
    for (const lent of this.#lent.values()) if (isOver(lent)) this.#end(lent, permits, turns);
  }

  /** Keys of which units are lent that may not have been taken yet, and until when they can be. */
  *keysOut(): Iterable<{ id: CountId; until: number }> {
    for (const { record } of this.#lent.values()) {
      if (this.unitsOut(record.id) > 0) yield { id: record.id, until: endOfLoan(record) };
    }
  }

  /** A shard knows nothing of what was lent to it: it has forgotten it, and used none of it. */
  takeBack({ id, name, seq }: LoanName, from: number, generation: number, permits: Permits): void {
    const lent = this.#lent.get(keyOf(from, generation, id));
    if (lent?.record.name === name && lent.record.seq === seq) this.#release(lent, 0, permits);
  }

  /** A shard has said what it keeps, and what it waits for. Also how many units have come back with that. */
  hear(
    ask: LoanAsk,
    {
      from,
      generation,
      at,
      since,
    }: { from: number; generation: number; at: number; since: number },
    permits: Permits,
    now: number,
  ): { lent: Lent; units: number } | undefined {
    const key = keyOf(from, generation, ask.id);
    this.#unitsChange(ask.id);
    let lent = this.#lent.get(key);
    if (lent !== undefined && (lent.record.name > ask.name || lent.at >= at)) return undefined;
    // A loan that its shard has begun anew: of the one before it keeps nothing.
    if (lent !== undefined && lent.record.name < ask.name) this.#release(lent, 0, permits);
    if (lent === undefined || lent.record.name < ask.name) {
      const { id, name, received: given, spent, returned, refunded } = ask;
      // What it thinks it may keep is no more: say so.
      const seq = ask.keep > 0 ? ask.seq + 1 : ask.seq;
      const fresh = { id, shard: from, generation, since, name, seq, granted: 0, until: 0 };
      const units = { given, spent, returned, refunded };
      if (lent === undefined) lent = this.#add({ ...fresh, ...units });
      else Object.assign(lent.record, { ...fresh, ...units });
    }
    lent.at = at;
    lent.heardAt = now;
    const { record, line } = lent;
    if (ask.seq === record.seq && ask.keep < record.granted) this.#release(lent, ask.keep, permits);
    const units = ask.returned - record.returned + ask.refunded - record.refunded;
    const { spent, returned, refunded } = ask;
    Object.assign(record, { spent, returned, refunded });
    if (record.granted > 0) this.#prolong(lent, now + ask.leaseMs);
    line.set(ask, now);
    this.#note(lent);
    return { lent, units };
  }

  /** A shard has said what it holds of a key that is counted here from now on. */
  install(
    { granted, received: given, ...held }: HeldLoan,
    { from: shard, generation, since }: { from: number; generation: number; since: number },
    permits: Permits,
  ): void {
    const record = { ...held, shard, generation, since, given, granted: 0 };
    const known = this.#lent.get(keyOf(shard, generation, held.id));
    if (known !== undefined) this.#release(known, 0, permits);
    const lent = known ?? this.#add(record);
    Object.assign(lent.record, record);
    this.#count(lent, granted, permits);
    this.#note(lent);
  }

  /** Units of a key that have left its bucket, and may not have been taken yet. */
  unitsOut(id: CountId): number {
    let units = 0;
    for (const { record } of this.#ofKey.get(id) ?? []) {
      units += Math.max(0, record.given - record.spent - record.returned);
    }
    return units;
  }

  /** One of those who wait at another shard gets what it needs. */
  lend(
    { lent, leaseMs }: LoanLane,
    { permits: count, units }: { permits: number; units: number },
    permits: Permits,
    now: number,
  ): void {
    const { record } = lent;
    if (count > 0) {
      record.seq++;
      this.#count(lent, count, permits);
    }
    record.given += units;
    this.#prolong(lent, now + leaseMs);
    lent.line.serve();
    this.#note(lent);
    this.#untold.add(lent);
  }

  /** Others wait for a key: those who have some of it are to give back what they let go of. */
  contend(id: CountId): void {
    for (const lent of this.#ofKey.get(id) ?? []) {
      if (!lent.isToldContended && lent.record.granted > 0) this.#untold.add(lent);
    }
  }

  /** Fewer may hold these keys than do: likewise. */
  contendWhere(isOver: (id: CountId) => boolean): void {
    for (const id of this.#ofKey.keys()) if (isOver(id)) this.contend(id);
  }

  /** Its shard is to be told of it. */
  tell(lent: Lent): void {
    this.#untold.add(lent);
  }

  /** All who have something of a key are to be told. */
  tellAll(id: CountId): void {
    for (const lent of this.#ofKey.get(id) ?? []) this.#untold.add(lent);
  }

  /** An older generation of a shard is over, and nothing of it can be at work after that. */
  endOlder(shard: number, generation: number, until: number): void {
    for (const lent of this.#lent.values()) {
      const { record } = lent;
      if (record.shard !== shard || record.generation >= generation) continue;
      record.until = Math.min(record.until, until);
      this.#note(lent);
    }
  }

  /** Takes back what was lent until a moment that is past: its shard has vanished, or has no use for it. */
  expire(permits: Permits, turns: Turns, now: number): void {
    if (this.#due > now) return;
    this.#due = Number.POSITIVE_INFINITY;
    for (const lent of this.#lent.values()) {
      if (endOf(lent) <= now) this.#end(lent, permits, turns);
      else this.#note(lent, false);
    }
  }

  /** Those of which their shards are to be told now, by shard. */
  takeUntold(): Map<number, Lent[]> {
    const untold = Map.groupBy(this.#untold, ({ record }) => record.shard);
    this.#untold.clear();
    return untold;
  }

  get hasUntold(): boolean {
    return this.#untold.size > 0;
  }

  /** What is said of one. */
  grantOf(lent: Lent, isContended: boolean, pausedUntil: number): LoanGrant {
    const { id, name, seq, granted, until, given } = lent.record;
    const grant: LoanGrant = { id, name, seq, granted, until, given, isContended, pausedUntil };
    lent.isToldContended = isContended;
    if (lent.isFull) grant.isFull = true;
    if (lent.evict > 0) grant.evict = lent.evict;
    lent.isFull = false;
    lent.evict = 0;
    return grant;
  }

  /** To whom a permit is lent. */
  find(id: CountId, holder: Holder): Lent | undefined {
    for (const lent of this.#ofKey.get(id) ?? []) if (lent.holders.includes(holder)) return lent;
    return undefined;
  }

  /** Those that have changed since this was last asked; undefined: gone. */
  takeChanged(): [string, LentRecord | undefined][] {
    if (this.#changed.size === 0) return [];
    const changed = [...this.#changed].map((key): [string, LentRecord | undefined] => [
      key,
      this.#lent.get(key)?.record,
    ]);
    this.#changed.clear();
    return changed;
  }

  /** When something that is lent must have come back, or before. */
  get nextDue(): number {
    return this.#due;
  }

  #add(record: LentRecord): Lent {
    const lent = new Lent(record, ++this.#lines);
    this.#lent.set(keyOf(record.shard, record.generation, record.id), lent);
    const others = this.#ofKey.get(record.id);
    if (others) others.add(lent);
    else this.#ofKey.set(record.id, new Set([lent]));
    return lent;
  }

  #count(lent: Lent, count: number, permits: Permits): void {
    for (let index = 0; index < count; index++) {
      const holder = lent.newHolder();
      lent.holders.push(holder);
      permits.take(lent.record.id, holder);
    }
    lent.record.granted = lent.holders.length;
  }

  #release(lent: Lent, keep: number, permits: Permits): void {
    // The first to be lent were the first to be used, as far as is known here.
    for (const holder of lent.holders.splice(0, lent.holders.length - keep))
      permits.release(holder);
    lent.record.granted = lent.holders.length;
    this.#note(lent);
  }

  #prolong(lent: Lent, until: number): void {
    lent.record.until = Math.max(lent.record.until, until);
  }

  #end(lent: Lent, permits: Permits, turns: Turns): void {
    this.#release(lent, 0, permits);
    this.#unitsChange(lent.record.id);
    lent.line.waiting = [];
    turns.remove(lent.line);
    const { id, shard, generation } = lent.record;
    const key = keyOf(shard, generation, id);
    this.#lent.delete(key);
    this.#untold.delete(lent);
    this.#changed.add(key);
    const others = this.#ofKey.get(id);
    others?.delete(lent);
    if (others?.size === 0) this.#ofKey.delete(id);
  }

  #note(lent: Lent, isChanged = true): void {
    const { shard, generation, id } = lent.record;
    if (isChanged) this.#changed.add(keyOf(shard, generation, id));
    this.#due = Math.min(this.#due, endOf(lent));
  }
}

function keyOf(shard: number, generation: number, id: CountId): string {
  return `${shard}/${generation} ${id}`;
}
