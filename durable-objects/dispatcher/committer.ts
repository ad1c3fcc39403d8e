/**
 * The heart: gathers transitions into batches and decides when a batch flies. What comes while a
 * commit is in flight is the next batch, so batches grow with load and nobody waits for a clock.
 *
 * Never lets two commits in flight touch the same run. A commit whose outcome is unknown is sent
 * again with the same bytes under the same seq; one that Postgres refuses is split until the
 * culprit stands alone.
 */
import type { CommitRequest, LaneRow, TakeRow } from "../../database/rows.ts";
import type { LanePage } from "./backlog.ts";
import type { Settlement } from "./handouts.ts";
import type { Lane } from "./lane.ts";
import {
  COMMIT_RETRY_MAX_MS,
  COMMIT_RETRY_MS,
  COMMIT_TIMEOUT_MS,
  MAX_BATCH,
  MAX_BATCH_BYTES,
  MAX_FLIGHTS,
  MAX_PENDING_BYTES,
  SECOND_FLIGHT_AT,
} from "./limits.ts";
import { runOf, type Transition, weightOf } from "./transitions.ts";

/** What a flight reserved and promised besides its transitions. */
export interface Cargo {
  settlement: Settlement;
  /** Room reserved in the window. */
  reserved: Map<Lane, number>;
  take: TakeRow[];
  /** Commits of which it keeps a row, should a sending of theirs land again. */
  buried: number[];
  /** First tasks of its runs that go to the queue, and to which lane. */
  spilled: Map<string, LaneRow>;
  /** It brings what has been in the queue for too long. */
  isExpiring: boolean;
  /** It asks which lanes have tasks in the queue, and which timers come next. */
  page: LanePage | undefined;
  isAgendaAsked: boolean;
}

/** Why a run's tasks are over: a run that took too long has others to follow, which undo them. */
export type RunEnd = "cancelled" | "run_timeout";

/** One commit: on its way, or waiting to be sent again. */
export interface Flight {
  seq: number;
  transitions: Transition[];
  runs: Set<string>;
  /** The request as sent; a repeat sends the same. */
  text: string;
  /** Why the request could not be written as text: it can only be refused. */
  unwritable: Error | undefined;
  cargo: Cargo;
  /** Runs that ended while it was on its way, and why: it may bring tasks of theirs all the same. */
  overtaken: Map<string, RunEnd>;
  firstSentAt: number;
  sentAt: number;
  tries: number;
  /** When to send it again; undefined while it is on its way. */
  retryAt: number | undefined;
}

export class Committer {
  #open: Transition[] = [];
  #openWeight = 0;
  #pendingBytes = 0;
  /** Halves of a refused batch, each to fly alone. */
  #halves: Transition[][] = [];
  #flights = new Set<Flight>();
  #seq = 0;

  /** Rises with every commit that is sent off. */
  get lastSeq(): number {
    return this.#seq;
  }

  get isEmpty(): boolean {
    return this.#open.length === 0 && this.#halves.length === 0 && this.#flights.size === 0;
  }

  get flights(): ReadonlySet<Flight> {
    return this.#flights;
  }

  /** Bytes that are not durable yet. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Whether another API call would be more than the shard may hold in memory. */
  isOverloaded(bytes: number): boolean {
    return this.#pendingBytes > 0 && this.#pendingBytes + bytes > MAX_PENDING_BYTES;
  }

  add(transition: Transition): void {
    this.#open.push(transition);
    this.#openWeight += weightOf(transition);
    this.#pendingBytes += transition.bytes;
  }

  /**
   * The next batch to fly, if one may. An empty one flies only when `isWanted`: to refill the window
   * or to delete settled rows.
   */
  takeBatch(isWanted: boolean): Transition[] | undefined {
    if (this.#flights.size >= MAX_FLIGHTS) return undefined;
    const half = this.#halves[0];
    if (half !== undefined) {
      if (half.some((transition) => this.#isBusy(transition))) return undefined;
      return this.#halves.shift();
    }
    if (this.#flights.size > 0 && this.#openWeight < SECOND_FLIGHT_AT) return undefined;
    const batch = this.#fill();
    return batch.length > 0 || (isWanted && this.#flights.size === 0) ? batch : undefined;
  }

  /** Sends a batch off; `request` makes its bytes, given its seq. */
  launch(
    transitions: Transition[],
    cargo: Cargo,
    now: number,
    request: (seq: number) => CommitRequest,
  ): Flight {
    const seq = ++this.#seq;
    const runs = new Set<string>();
    for (const transition of transitions) {
      const run = runOf(transition);
      if (run !== undefined) runs.add(run);
    }
    const flight: Flight = {
      seq,
      transitions,
      runs,
      ...written(request(seq)),
      cargo,
      overtaken: new Map(),
      firstSentAt: now,
      sentAt: now,
      tries: 1,
      retryAt: undefined,
    };
    this.#flights.add(flight);
    return flight;
  }

  /** The flight's answer is here. */
  land(flight: Flight): void {
    this.#flights.delete(flight);
    for (const { bytes } of flight.transitions) this.#pendingBytes -= bytes;
  }

  /**
   * Nobody knows whether the flight took effect: it goes again, at once at first, then ever later.
   * Returns when.
   */
  delay(flight: Flight, now: number): number {
    const waitMs = flight.tries === 1 ? 0 : COMMIT_RETRY_MS * 2 ** (flight.tries - 2);
    flight.retryAt = now + Math.min(COMMIT_RETRY_MAX_MS, waitMs);
    return flight.retryAt;
  }

  /** The flights to send again now. */
  takeDue(now: number): Flight[] {
    const due = [...this.#flights].filter(({ retryAt }) => retryAt !== undefined && retryAt <= now);
    for (const flight of due) {
      flight.retryAt = undefined;
      flight.sentAt = now;
      flight.tries++;
    }
    return due;
  }

  /**
   * Postgres has refused the flight for good. Its transitions fly again in halves; one that was
   * alone is the culprit and is returned.
   */
  refuse(flight: Flight): Transition | undefined {
    this.#flights.delete(flight);
    const { transitions } = flight;
    const [first] = transitions;
    if (transitions.length <= 1) {
      if (first) this.#pendingBytes -= first.bytes;
      return first;
    }
    const middle = transitions.length >> 1;
    // Before the halves of others: a later transition of the same run may be among them.
    this.#halves.unshift(transitions.slice(0, middle), transitions.slice(middle));
    return undefined;
  }

  /** When a flight needs attention: to be sent again, or to be given up as unanswered. */
  nextDue(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const { retryAt, sentAt } of this.#flights) {
      due = Math.min(due, retryAt ?? sentAt + COMMIT_TIMEOUT_MS);
    }
    return due;
  }

  /** Takes what fits into one batch and touches no run in flight; the rest keeps its order. */
  #fill(): Transition[] {
    const batch: Transition[] = [];
    const left: Transition[] = [];
    let weight = 0;
    let bytes = 0;
    for (const [index, transition] of this.#open.entries()) {
      const isFull =
        batch.length > 0 &&
        (weight + weightOf(transition) > MAX_BATCH || bytes + transition.bytes > MAX_BATCH_BYTES);
      if (isFull) {
        left.push(...this.#open.slice(index));
        break;
      }
      if (this.#isBusy(transition)) {
        left.push(transition);
        continue;
      }
      batch.push(transition);
      weight += weightOf(transition);
      bytes += transition.bytes;
    }
    this.#open = left;
    this.#openWeight -= weight;
    return batch;
  }

  #isBusy(transition: Transition): boolean {
    const run = runOf(transition);
    if (run === undefined) return false;
    for (const flight of this.#flights) if (flight.runs.has(run)) return true;
    return false;
  }
}

/** JSON that is nested too deep can be read but not written. */
function written(request: CommitRequest): Pick<Flight, "text" | "unwritable"> {
  try {
    return { text: JSON.stringify(request), unwritable: undefined };
  } catch (error) {
    return { text: "", unwritable: error instanceof Error ? error : new Error(String(error)) };
  }
}
