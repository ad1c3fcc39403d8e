/**
 * Tasks in the hands of sessions, with their deadlines. A lease ends when its result has been
 * committed, not when it has been heard of: until then another life of the shard must know of it.
 * A cancelled attempt is kept apart, because its task may be another attempt's by then.
 */
import type { RetryPolicy } from "../../database/definition-rows.ts";
import { type CancelReason, RECEIPT_LIMIT_MS } from "../../protocol/session.ts";
import type { RateWindow } from "../../protocol/limit-bodies.ts";
import type { StepKind } from "../../protocol/states.ts";
import { START_RECORD_MS } from "./limits.ts";
import type { Need } from "./needs.ts";
import type { CountId } from "./permits.ts";

/** Units of a rate limit that were taken when the attempt was sent. */
export interface Reserve {
  limit: string;
  key: string;
  id: CountId;
  units: number;
  /** The limit's windows when it was sent. */
  rate: RateWindow[];
  /** What its worker has said was really used. It can't say so twice. */
  used?: number;
}

/** A permit of an attempt, and what says how many there are. */
export type HeldPermit = Pick<Need, "limit" | "key" | "id" | "own">;

export interface Lease {
  task: string;
  run: string;
  attempt: number;
  session: string;
  version: string;
  step: number;
  kind: StepKind;
  /** Earlier attempts of the task that failed, and that were lost. */
  failures: number;
  rescues: number;
  /** Slots of its session. */
  slots: number;
  /** Permits that the attempt holds, but while it waits; those of its run are the run's. */
  holds: HeldPermit[];
  /** Units that were taken for it. */
  reserved: Reserve[];
  /** How its step is tried again. Kept here, because a shard that wakes knows no versions yet. */
  retry: RetryPolicy | undefined;
  sentAt: number;
  /** When the attempt has run out of time, in milliseconds since 1970. */
  deadline: number;
  /** Milliseconds it has left, while its handler only waits for children: then none pass. */
  leftMs: number | undefined;
  /** Which of its waits has ended, while it waits to go on. */
  returning: number | undefined;
  /**
   * `held`: the worker has it. `ending`: its result is on the way to Postgres. `cancelling`: so is
   * its end without the worker. `cancelled`: it is over, and only its slot is taken until the
   * worker lets go.
   */
  state: "held" | "ending" | "cancelling" | "cancelled";
  /** Why its worker was told to stop it; undefined while it was not. */
  stopReason: CancelReason | undefined;
  /** When the slot of an attempt whose end the worker was told of is taken back. */
  releaseBy: number;
  /** The worker has confirmed that it arrived, or can't be asked for that any more. */
  isReceived: boolean;
  /** The worker has let go of it before its end was committed. */
  isReleased: boolean;
  isStartRecorded: boolean;
  /** An earlier life ended it, and how, only Postgres knows. */
  isEndUnknown: boolean;
}

export type LeaseKey = `${string}/${number}`;

export function leaseKey({ task, attempt }: Pick<Lease, "task" | "attempt">): LeaseKey {
  return `${task}/${attempt}`;
}

export class Leases {
  #current = new Map<string, Lease>();
  #cancelled = new Map<LeaseKey, Lease>();
  /** All of them: thousands of sessions may end at once, and each is asked for its own. */
  #ofSession = new Map<string, Set<Lease>>();

  get size(): number {
    return this.#current.size + this.#cancelled.size;
  }

  /** Those whose attempt is their task's last. */
  current(): Iterable<Lease> {
    return this.#current.values();
  }

  all(): Lease[] {
    return this.#matching(() => true);
  }

  hold(lease: Lease): void {
    if (lease.state === "cancelled") {
      this.#drop(this.#cancelled.get(leaseKey(lease)));
      this.#cancelled.set(leaseKey(lease), lease);
    } else {
      this.#drop(this.#current.get(lease.task));
      this.#current.set(lease.task, lease);
    }
    const others = this.#ofSession.get(lease.session);
    if (others) others.add(lease);
    else this.#ofSession.set(lease.session, new Set([lease]));
  }

  find(task: string, attempt: number): Lease | undefined {
    const lease = this.#current.get(task);
    return lease?.attempt === attempt ? lease : this.#cancelled.get(`${task}/${attempt}`);
  }

  /** The lease of a task's last attempt. */
  ofTask(task: string): Lease | undefined {
    return this.#current.get(task);
  }

  ofSession(session: string): Lease[] {
    return [...(this.#ofSession.get(session) ?? [])];
  }

  /** Those of these runs that a worker may still be at something of. */
  stillAt(runs: ReadonlySet<string>): Set<string> {
    return new Set(this.#matching(({ run }) => runs.has(run)).map(({ run }) => run));
  }

  /** Leases by run, of these runs. */
  ofRuns(runs: { has(run: string): boolean }): Map<string, Lease[]> {
    const found = new Map<string, Lease[]>();
    for (const lease of this.#current.values()) {
      if (!runs.has(lease.run)) continue;
      const others = found.get(lease.run);
      if (others) others.push(lease);
      else found.set(lease.run, [lease]);
    }
    return found;
  }

  /** The attempt is over; its slot is not free yet. */
  cancel(lease: Lease): void {
    if (this.#current.get(lease.task) === lease) this.#current.delete(lease.task);
    lease.state = "cancelled";
    this.#cancelled.set(leaseKey(lease), lease);
  }

  end(lease: Lease): void {
    if (this.#current.get(lease.task) === lease) this.#current.delete(lease.task);
    this.#drop(this.#cancelled.get(leaseKey(lease)));
    this.#cancelled.delete(leaseKey(lease));
    this.#drop(lease);
  }

  #drop(lease: Lease | undefined): void {
    if (lease === undefined) return;
    const others = this.#ofSession.get(lease.session);
    others?.delete(lease);
    if (others?.size === 0) this.#ofSession.delete(lease.session);
  }

  /** Attempts that have run out of time. */
  overdue(now: number): Lease[] {
    return this.#matching(({ state, deadline }) => state === "held" && deadline <= now);
  }

  /** Attempts that no worker has confirmed in time. */
  unreceived(now: number): Lease[] {
    return this.#matching(
      (lease) => isUnconfirmed(lease) && lease.sentAt + RECEIPT_LIMIT_MS <= now,
    );
  }

  /** Attempts that have run long enough for their start to be written down. */
  unrecorded(now: number): Lease[] {
    return this.#matching((lease) => isUnrecorded(lease) && lease.sentAt + START_RECORD_MS <= now);
  }

  /** Attempts that are over and whose workers have had the time to let go of them. */
  unreleased(now: number): Lease[] {
    return this.#matching(({ state, releaseBy }) => state === "cancelled" && releaseBy <= now);
  }

  /** When the next lease needs attention, in milliseconds since 1970. */
  nextDue(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const lease of this.#current.values()) {
      if (lease.state !== "held") continue;
      due = Math.min(due, lease.deadline);
      if (isUnconfirmed(lease)) due = Math.min(due, lease.sentAt + RECEIPT_LIMIT_MS);
      if (isUnrecorded(lease)) due = Math.min(due, lease.sentAt + START_RECORD_MS);
    }
    for (const { releaseBy } of this.#cancelled.values()) due = Math.min(due, releaseBy);
    return due;
  }

  #matching(matches: (lease: Lease) => boolean): Lease[] {
    const found: Lease[] = [];
    for (const leases of [this.#current, this.#cancelled]) {
      for (const lease of leases.values()) if (matches(lease)) found.push(lease);
    }
    return found;
  }
}

function isUnconfirmed({ state, isReceived }: Lease): boolean {
  return state === "held" && !isReceived;
}

function isUnrecorded({ state, isStartRecorded }: Lease): boolean {
  return state === "held" && !isStartRecorded;
}
