/**
 * How many workers may connect in a second, and when those may who came too soon. Each that is sent away has
 * a place in line: a moment of its own, at which it is let in before whoever comes then. Workers that resume a
 * session stand in a line of their own, before the others. Pure: it takes `now`.
 */
import { MAX_HANDSHAKES_PER_SECOND, MAX_LINE_MS } from "./limits.ts";

/**
 * Half of a second's are let in at once, the others one by one: in no second more than the limit, and
 * those of a fleet of a usual size never wait.
 */
const BURST = MAX_HANDSHAKES_PER_SECOND / 2;
const INTERVAL_MS = 1_000 / (MAX_HANDSHAKES_PER_SECOND - BURST);

export type Admission =
  | { isAdmitted: true }
  /** `place`: said by the worker when it comes back. */
  | { isAdmitted: false; retryAfterMs: number; place: string };

export class Handshakes {
  /** How many may come in at this moment, as it was `at`. */
  #free = BURST;
  #at = 0;
  /** When the last place is that was given, to workers that resume a session and to new ones. */
  #lastResuming = 0;
  #lastNew = 0;

  /** @param place What the worker was told when it was sent away, if it was. */
  admit(isResuming: boolean, place: string | null, now: number): Admission {
    this.#refill(now);
    const isDue = isPlaceDue(place, now);
    const isFirst = isResuming
      ? isDue || this.#lastResuming <= now
      : this.#lastResuming <= now && (isDue || this.#lastNew <= now);
    if (isFirst && this.#free >= 1) {
      this.#free -= 1;
      return { isAdmitted: true };
    }
    const at = this.#nextPlace(isResuming, now);
    return { isAdmitted: false, retryAfterMs: Math.ceil(at - now), place: String(Math.ceil(at)) };
  }

  /** Places are as far apart as there is room for, and never too far away: there they meet. */
  #nextPlace(isResuming: boolean, now: number): number {
    const last = isResuming ? this.#lastResuming : Math.max(this.#lastNew, this.#lastResuming);
    const at = Math.min(Math.max(last, now) + INTERVAL_MS, now + MAX_LINE_MS);
    if (isResuming) this.#lastResuming = at;
    else this.#lastNew = at;
    return at;
  }

  #refill(now: number): void {
    const passedMs = Math.max(0, now - this.#at); // clocks are set
    this.#free = Math.min(BURST, this.#free + passedMs / INTERVAL_MS);
    this.#at = now;
  }
}

/** Whether it is a place that was given, not long ago, for now or before: by whatever life of the shard. */
function isPlaceDue(place: string | null, now: number): boolean {
  if (place === null || !/^\d{1,16}$/.test(place)) return false;
  const at = Number(place);
  return at <= now && at > now - MAX_LINE_MS;
}
