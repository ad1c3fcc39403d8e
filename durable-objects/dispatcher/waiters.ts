/**
 * Calls that wait for a run to finish. They are told by the commit that finishes it; a caller that
 * comes a moment late finds it among the last that finished.
 */
import type { RunState } from "../../protocol/states.ts";
import { MAX_FINISHED, MAX_WAITERS } from "./limits.ts";

interface Waiter {
  deadline: number;
  tell: (state: RunState | undefined) => void;
}

export class Waiters {
  #waiting = new Map<string, Waiter[]>();
  #count = 0;
  #finished = new Map<string, RunState>();

  /** The state of the finished run, or undefined once `deadline` has passed. */
  wait(run: string, deadline: number): Promise<RunState | undefined> {
    const state = this.#finished.get(run);
    if (state !== undefined || this.#count >= MAX_WAITERS) return Promise.resolve(state);
    return new Promise((tell) => {
      const waiting = this.#waiting.get(run);
      if (waiting) waiting.push({ deadline, tell });
      else this.#waiting.set(run, [{ deadline, tell }]);
      this.#count++;
    });
  }

  finish(run: string, state: RunState): void {
    this.#finished.set(run, state);
    if (this.#finished.size > MAX_FINISHED) {
      for (const oldest of this.#finished.keys()) {
        this.#finished.delete(oldest);
        break;
      }
    }
    this.#tell(run, () => state);
  }

  /** Lets go of those whose time is over. */
  expire(now: number): void {
    for (const [run, waiting] of this.#waiting) {
      if (!waiting.some(({ deadline }) => deadline <= now)) continue;
      const staying = waiting.filter(({ deadline }) => deadline > now);
      this.#waiting.set(
        run,
        waiting.filter(({ deadline }) => deadline <= now),
      );
      this.#tell(run, () => undefined);
      if (staying.length > 0) {
        this.#waiting.set(run, staying);
      }
    }
  }

  nextDue(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const waiting of this.#waiting.values()) {
      for (const { deadline } of waiting) due = Math.min(due, deadline);
    }
    return due;
  }

  #tell(run: string, state: () => RunState | undefined): void {
    const waiting = this.#waiting.get(run);
    if (waiting === undefined) return;
    this.#waiting.delete(run);
    this.#count -= waiting.length;
    for (const { tell } of waiting) tell(state());
  }
}
