/**
 * Tasks in the hands of sessions, with their deadlines. A lease ends when its result has been
 * committed, not when it has been heard of: until then another life of the shard must know of it.
 */

export interface Lease {
  task: string;
  run: string;
  attempt: number;
  session: string;
  version: string;
  step: number;
  sentAt: number;
  /** When the attempt has run out of time, in milliseconds since 1970. */
  deadline: number;
  /**
   * `held`: the worker has it. `ending`: its result is on the way to Postgres. `cancelling`: so is
   * its end without the worker. `cancelled`: it is over, and only its slot is taken until the
   * worker lets go.
   */
  state: "held" | "ending" | "cancelling" | "cancelled";
  /** The worker has let go of a cancelled attempt before its end was committed. */
  isReleased: boolean;
  isStartRecorded: boolean;
}

export class Leases {
  #leases = new Map<string, Lease>();

  get size(): number {
    return this.#leases.size;
  }

  all(): Iterable<Lease> {
    return this.#leases.values();
  }

  hold(lease: Lease): void {
    this.#leases.set(lease.task, lease);
  }

  /** The lease of a task, if it is for this very attempt. */
  find(task: string, attempt: number): Lease | undefined {
    const lease = this.#leases.get(task);
    return lease?.attempt === attempt ? lease : undefined;
  }

  /** The lease of a task, whatever its attempt. */
  current(task: string): Lease | undefined {
    return this.#leases.get(task);
  }

  end(task: string): void {
    this.#leases.delete(task);
  }

  ofSession(session: string): Lease[] {
    return [...this.#leases.values()].filter((lease) => lease.session === session);
  }

  /** Attempts that have run out of time. */
  overdue(now: number): Lease[] {
    return this.#held((lease) => lease.deadline <= now);
  }

  /** Attempts that have run long enough for their start to be written down. */
  unrecorded(now: number, afterMs: number): Lease[] {
    return this.#held((lease) => !lease.isStartRecorded && lease.sentAt + afterMs <= now);
  }

  /** When the next lease needs attention, in milliseconds since 1970. */
  nextDue(startRecordMs: number): number {
    let due = Number.POSITIVE_INFINITY;
    for (const lease of this.#leases.values()) {
      if (lease.state !== "held") continue;
      due = Math.min(due, lease.deadline);
      if (!lease.isStartRecorded) due = Math.min(due, lease.sentAt + startRecordMs);
    }
    return due;
  }

  #held(matches: (lease: Lease) => boolean): Lease[] {
    return [...this.#leases.values()].filter((lease) => lease.state === "held" && matches(lease));
  }
}
