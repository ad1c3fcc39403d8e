/**
 * The provider's own token bucket: it holds `burst` units, fills evenly, and gives only what it has. It
 * shares no line with the one that it is meant to catch out.
 */
export interface Rate {
  perMinute: number;
  /** What may come at once after a pause. */
  burst: number;
}

export class Bucket {
  #rate: Rate;
  #level: number;
  #filledAtMs: number;

  constructor(rate: Rate, nowMs: number) {
    this.#rate = rate;
    this.#level = rate.burst;
    this.#filledAtMs = nowMs;
  }

  /** Milliseconds until it has so many units; 0: now. */
  waitMs(units: number, nowMs: number): number {
    this.#fill(nowMs);
    const missing = Math.max(0, units - this.#level);
    return (missing / this.#rate.perMinute) * 60_000;
  }

  take(units: number): void {
    this.#level -= units;
  }

  giveBack(units: number, nowMs: number): void {
    this.#fill(nowMs);
    this.#level = Math.min(this.#rate.burst, this.#level + units);
  }

  /** Another rate from now on. What is in it stays, as far as there is room. */
  change(rate: Rate, nowMs: number): void {
    this.#fill(nowMs);
    this.#rate = rate;
    this.#level = Math.min(rate.burst, this.#level);
  }

  #fill(nowMs: number): void {
    const gained = ((nowMs - this.#filledAtMs) / 60_000) * this.#rate.perMinute;
    this.#level = Math.min(this.#rate.burst, this.#level + gained);
    this.#filledAtMs = nowMs;
  }
}
