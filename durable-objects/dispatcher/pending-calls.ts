/**
 * API calls that wait for their commit. One that waits too long is told so: its transitions stay,
 * and may still land. Kept here because a timer for each call would cost the edge Worker more than
 * the call itself.
 */
import { START_TIMEOUT_MS } from "./limits.ts";

export interface PendingCall {
  readonly since: number;
  readonly giveUp: () => void;
}

export class PendingCalls {
  /** Oldest first. */
  #calls = new Set<PendingCall>();

  add(since: number, giveUp: () => void): PendingCall {
    const call = { since, giveUp };
    this.#calls.add(call);
    return call;
  }

  end(call: PendingCall): void {
    this.#calls.delete(call);
  }

  expire(now: number): void {
    for (const call of this.#calls) {
      if (call.since + START_TIMEOUT_MS > now) return;
      this.#calls.delete(call);
      call.giveUp();
    }
  }

  nextDue(): number {
    for (const { since } of this.#calls) return since + START_TIMEOUT_MS;
    return Number.POSITIVE_INFINITY;
  }
}
