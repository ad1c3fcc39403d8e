/**
 * What this shard has lent of the limits that it owns. A permit that is lent is held here like any other, by the
 * shard that has it; units that are lent have left their bucket. Shards that want more stand in the same lines
 * as the tasks that are here, each as a lane of its own.
 */
import { Lane, type ReadyTask } from "./lane.ts";
import { LOAN_MARGIN_MS, MIN_LOAN_MS } from "./limits.ts";
import type { LoanAsk, LoanGrant, LoanName } from "./loan-messages.ts";
import type { Need } from "./needs.ts";
import { type CountId, type Holder, partsOf, type Permits } from "./permits.ts";
import type { Turns } from "./turns.ts";

/** What outlives the shard's memory. */
export interface LentRecord {
  id: CountId;
  shard: number;
  /** Of the other shard; and the change of the tenant's shards that made this one own the key. */
  generation: number;
  since: number;
  name: number;
  seq: number;
  granted: number;
  until: number;
  given: number;
  back: number;
}

/** The tasks of another shard that wait for a key, as far as it has told of them. */
export class LoanLane extends Lane {
  readonly lent: Lent;
  /** Units that each takes. */
  waiting: number[] = [];
  leaseMs = 0;
  #first: ReadyTask;

  constructor(lent: Lent, number: number) {
    super("", number);
    this.lent = lent;
    this.#first = standIn(lent.record.id);
  }

  /** What they wait for, with what the first of them takes. */
  get need(): Need | undefined {
    return this.waiting.length > 0 ? this.#first.needs.needs[0] : undefined;
  }

  override get length(): number {
    return this.waiting.length;
  }

  override get next(): ReadyTask | undefined {
    return this.waiting.length > 0 ? this.#first : undefined;
  }

  override get isForgettable(): boolean {
    return false;
  }

  set(ask: LoanAsk, now: number): void {
    const [units = 1] = ask.waiting;
    this.waiting = ask.waiting;
    this.leaseMs = ask.leaseMs;
    this.#first = { ...standIn(ask.id, ask, units), queuedAt: now };
    if (this.standing !== "idle") return;
    this.priority = ask.priority;
    this.weight = ask.weight;
  }

  /** One of them has what it waited for. */
  serve(): void {
    this.waiting = this.waiting.slice(1);
    const [need] = this.#first.needs.needs;
    const [units] = this.waiting;
    if (need !== undefined && units !== undefined) need.units = units;
  }
}

export class Lent {
  readonly record: LentRecord;
  readonly line: LoanLane;
  /** As permits know them, the first to be lent first. */
  readonly holders: Holder[] = [];
  /** The call that last spoke of it, and when that came. */
  at = 0;
  heardAt = 0;
  isToldContended = false;
  isFull = false;
  evict = 0;
  #lastHolder = 0;

  constructor(record: LentRecord, lineNumber: number) {
    this.record = record;
    this.line = new LoanLane(this, lineNumber);
  }

  newHolder(): Holder {
    const { shard, generation } = this.record;
    return `${LENT}${shard}/${generation}/${this.#lastHolder++}`;
  }
}

const LENT = "shard ";

/** Whether a permit is lent to another shard. */
export function isLentTo(holder: Holder): number | undefined {
  return holder.startsWith(LENT) ? Number.parseInt(holder.slice(LENT.length), 10) : undefined;
}

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

  /** A shard knows nothing of what was lent to it: it has forgotten it, and used none of it. */
  takeBack({ id, name, seq }: LoanName, from: number, generation: number, permits: Permits): void {
    const lent = this.#lent.get(keyOf(from, generation, id));
    if (lent?.record.name === name && lent.record.seq === seq) this.#release(lent, 0, permits);
  }

  /** A shard has said what it keeps, and what it waits for. */
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
  ): { lent: Lent; refunded: number } | undefined {
    const key = keyOf(from, generation, ask.id);
    let lent = this.#lent.get(key);
    if (lent !== undefined && (lent.record.name > ask.name || lent.at >= at)) return undefined;
    // A loan that its shard has begun anew: of the one before it keeps nothing.
    if (lent !== undefined && lent.record.name < ask.name) this.#release(lent, 0, permits);
    if (lent === undefined || lent.record.name < ask.name) {
      const { id, name, received: given, back } = ask;
      // What it thinks it may keep is no more: say so.
      const seq = ask.keep > 0 ? ask.seq + 1 : ask.seq;
      const fresh = { id, shard: from, generation, since, name, seq, granted: 0, until: 0 };
      if (lent === undefined) lent = this.#add({ ...fresh, given, back });
      else Object.assign(lent.record, { ...fresh, given, back });
    }
    lent.at = at;
    lent.heardAt = now;
    const { record, line } = lent;
    if (ask.seq === record.seq && ask.keep < record.granted) this.#release(lent, ask.keep, permits);
    const refunded = ask.back - record.back;
    record.back = ask.back;
    if (record.granted > 0) this.#prolong(lent, now + ask.leaseMs);
    line.set(ask, now);
    this.#note(lent);
    return { lent, refunded };
  }

  /** A shard has said what it holds of a key that is counted here from now on. */
  install(
    held: Pick<LentRecord, "id" | "name" | "seq" | "until"> & { count: number },
    { from, generation, since }: { from: number; generation: number; since: number },
    permits: Permits,
  ): void {
    const { id, name, seq, until, count } = held;
    const known = this.#lent.get(keyOf(from, generation, id));
    const record = { id, shard: from, generation, since, name, seq, until, granted: 0 };
    const lent = known ?? this.#add({ ...record, given: 0, back: 0 });
    if (known !== undefined) this.#release(lent, 0, permits);
    Object.assign(lent.record, record);
    this.#count(lent, count, permits);
    this.#note(lent);
  }

  /** One of those who wait at another shard gets what it needs. */
  lend({ lent, leaseMs, need }: LoanLane, isCounted: boolean, permits: Permits, now: number): void {
    const { record } = lent;
    if (isCounted) {
      record.seq++;
      this.#count(lent, 1, permits);
    }
    record.given += need?.units ?? 0;
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

/** When what is lent must have come back, and whoever waits must have asked again. */
function endOf({ record, heardAt }: Lent): number {
  return Math.max(record.until + LOAN_MARGIN_MS, heardAt + MIN_LOAN_MS);
}

function keyOf(shard: number, generation: number, id: CountId): string {
  return `${shard}/${generation} ${id}`;
}

/** What stands in a line for tasks of another shard. */
function standIn(id: CountId, ask?: LoanAsk, units = 1): ReadyTask {
  const { limit, key } = partsOf(id);
  const { strategy = "queue", priority = 0, weight = 1 } = ask ?? {};
  const need: Need = { limit, key, id, isOfRun: false, units, strategy, own: ask?.own };
  return {
    id: "",
    run: "",
    version: "",
    step: 0,
    attempt: 1,
    queuedAt: 0,
    input: null,
    metadata: {},
    parents: {},
    action: "",
    kind: "step",
    seq: 0,
    bytes: 0,
    expiresAt: Number.POSITIVE_INFINITY,
    timeoutMs: 0,
    needs: {
      lane: 0,
      needs: [need],
      placing: {
        slots: 0,
        labels: undefined,
        sticky: undefined,
        pinnedTo: undefined,
        worker: undefined,
      },
      priority,
      weight,
    },
  };
}
