/**
 * What is lent of one key to one shard, and the line of that shard's tasks that wait for more, as far as it has
 * told of them.
 */
import { Lane, type ReadyTask } from "./lane.ts";
import { LOAN_MARGIN_MS, MIN_LOAN_MS } from "./limits.ts";
import type { LoanAsk } from "./loan-messages.ts";
import type { Need } from "./needs.ts";
import { type CountId, type Holder, partsOf } from "./permits.ts";

const LENT = "shard ";

/** Whether a permit is lent to another shard. */
export function isLentTo(holder: Holder): number | undefined {
  return holder.startsWith(LENT) ? Number.parseInt(holder.slice(LENT.length), 10) : undefined;
}

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
  /** Units since the loan began: lent, and as far as has been heard taken, given back, and refunded. */
  given: number;
  spent: number;
  returned: number;
  refunded: number;
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

  /** Of this loan alone: a holder lets go of everything that it has. */
  newHolder(): Holder {
    const { shard, generation } = this.record;
    return `${LENT}${shard}/${generation}/${this.line.number}/${this.#lastHolder++}`;
  }
}

/** When what is lent must have come back, and whoever waits must have asked again. */
export function endOf({ record, heardAt }: Lent): number {
  return Math.max(endOfLoan(record), heardAt + MIN_LOAN_MS);
}

export function endOfLoan({ until }: LentRecord): number {
  return until + LOAN_MARGIN_MS;
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
