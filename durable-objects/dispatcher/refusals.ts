/**
 * Workers that were sent away because too many came at once: how many, and what of it is to be said in the log. The
 * first is told of at once, the others of each period together. Pure: it takes `now`.
 */
import { REFUSALS_PERIOD_MS } from "./limits.ts";

export interface RefusalReport {
  /** How many since the report before. */
  refused: number;
  /** The longest that one of them was told to wait. */
  longest_wait_ms: number;
}

export class Refusals {
  #count = 0;
  #untold = 0;
  #longestMs = 0;
  #toldAt = Number.NEGATIVE_INFINITY;

  /** All of them since this life of the shard began. */
  get count(): number {
    return this.#count;
  }

  note(retryAfterMs: number): void {
    this.#count++;
    this.#untold++;
    this.#longestMs = Math.max(this.#longestMs, retryAfterMs);
  }

  /** What is to be said now, if anything. It counts as said. */
  takeReport(now: number): RefusalReport | undefined {
    if (this.nextDue > now) return undefined;
    const report = { refused: this.#untold, longest_wait_ms: this.#longestMs };
    this.#untold = this.#longestMs = 0;
    this.#toldAt = now;
    return report;
  }

  /** When there is something to be said; Infinity: nothing. */
  get nextDue(): number {
    return this.#untold === 0 ? Number.POSITIVE_INFINITY : this.#toldAt + REFUSALS_PERIOD_MS;
  }
}
