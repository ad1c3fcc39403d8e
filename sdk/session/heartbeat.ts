/**
 * The life of one session on one socket: pings, and the moment its leases end. The moment is counted from when
 * the last answered ping was sent (what the shard has surely heard) and comes before the shard's own, so that a
 * handler has been told to stop before its task can be another worker's. A socket may be broken at the shard's end
 * long before this worker hears of it, so while handlers run it asks often, and trusts an answer no longer
 * than the shard would wait for the session to be resumed.
 */

const LONGEST_MARGIN_MS = 1_000;

/**
 * With a shorter grace an answer would have to come sooner than networks give one: whoever asks for that has its
 * tasks run elsewhere soon, and its handlers told when it hears of it.
 */
export const SHORTEST_TRUST_MS = 3_000;

/** How many pings are sent in the time that an answer is trusted, while handlers run. */
const PINGS_PER_TRUST = 5;

/** Milliseconds a worker gives up before the shard does, where the shard gives up after `limitMs`. */
export function leaseMarginMs(limitMs: number): number {
  return Math.min(LONGEST_MARGIN_MS, limitMs / 5);
}

export interface HeartbeatOptions {
  pingIntervalMs: number;
  limitMs: number;
  /** How long the shard keeps a session whose socket it has seen break. */
  graceMs: number;
  /** Whether handlers run that this session's shard could give away. */
  isBusy: () => boolean;
  ping: () => void;
  /** The shard may have given this session up. */
  onEnd: () => void;
}

export class Heartbeat {
  readonly #options: HeartbeatOptions;
  /** How long an answer is trusted while handlers run; undefined: until the limit. */
  readonly #trustMs: number | undefined;
  readonly #marginMs: number;
  /** When each ping was sent that has no answer yet, oldest first. Bounded: limit / shortest interval. */
  readonly #unanswered: number[] = [];
  #confirmedAt: number;
  /** Since when handlers run; undefined: none did at the last look. */
  #busySince: number | undefined;
  /** When this program has come back from what had blocked it. */
  #unblockedAt = Number.NEGATIVE_INFINITY;
  #pingAt = 0;
  #pingTimer: ReturnType<typeof setInterval> | undefined;
  #endTimer: ReturnType<typeof setTimeout> | undefined;

  /** `confirmedAt`: when something was sent that the shard has answered. */
  constructor(confirmedAt: number, options: HeartbeatOptions) {
    const { limitMs, graceMs, pingIntervalMs, isBusy } = options;
    const keptMs = Math.min(limitMs, graceMs);
    this.#options = options;
    this.#marginMs = leaseMarginMs(keptMs);
    this.#trustMs = graceMs < SHORTEST_TRUST_MS ? undefined : Math.floor(keptMs - this.#marginMs);
    this.#confirmedAt = confirmedAt;
    this.#pace(pingIntervalMs);
    if (isBusy()) this.#hurry(confirmedAt);
    else this.#watch();
  }

  /** A task has come: on a socket that the shard had not seen break when it was sent. */
  heed(): void {
    if (this.#busySince === undefined) this.#hurry(Date.now());
  }

  /** The shard has answered the oldest ping. */
  pong(): void {
    this.#confirmedAt = this.#unanswered.shift() ?? this.#confirmedAt;
  }

  /** When the leases of this session end if nothing more is heard. */
  get endsAt(): number {
    const { limitMs } = this.#options;
    const limit = this.#confirmedAt + limitMs - leaseMarginMs(limitMs);
    if (this.#trustMs === undefined || this.#busySince === undefined) return limit;
    return Math.min(limit, Math.max(this.#confirmedAt, this.#busySince) + this.#trustMs);
  }

  stop(): void {
    clearInterval(this.#pingTimer);
    clearTimeout(this.#endTimer);
  }

  /** From now on the shard is asked often. */
  #hurry(since: number): void {
    const { pingIntervalMs } = this.#options;
    if (this.#trustMs === undefined) return this.#watch();
    this.#busySince = since;
    this.#pace(Math.min(pingIntervalMs, Math.floor(this.#trustMs / PINGS_PER_TRUST)));
    this.#ping();
    this.#watch();
  }

  #pace(intervalMs: number): void {
    clearInterval(this.#pingTimer);
    this.#pingAt = Date.now() + intervalMs;
    this.#pingTimer = setInterval(() => {
      const isLate = this.#isLate(this.#pingAt);
      this.#pingAt = Date.now() + intervalMs;
      if (this.#busySince !== undefined && !this.#options.isBusy()) {
        this.#busySince = undefined;
        this.#pace(this.#options.pingIntervalMs);
      } else if (!isLate) this.#ping();
    }, intervalMs);
  }

  #ping(): void {
    this.#unanswered.push(Date.now());
    this.#options.ping();
  }

  /** Whether something has blocked this program until long after a moment: then the shard is asked at once. */
  #isLate(plannedAt: number): boolean {
    const now = Date.now();
    if (this.#busySince === undefined || now - plannedAt <= this.#marginMs / 4) return false;
    this.#unblockedAt = now;
    this.#ping();
    return true;
  }

  // Set once and moved only when it fires: a pong costs no timer.
  #watch(): void {
    clearTimeout(this.#endTimer);
    const now = Date.now();
    const at = this.endsAt > now ? this.endsAt : this.#hearingUntil(now);
    if (at > now) {
      this.#endTimer = setTimeout(() => {
        this.#isLate(at);
        this.#watch();
      }, at - now);
      return;
    }
    this.stop();
    this.#options.onEnd();
  }

  /**
   * A program that was blocked could neither ask nor hear, nor be told to stop: the answer to what it asks first gets
   * half of the margin to come, unless the shard has given it up whatever the answer.
   */
  #hearingUntil(now: number): number {
    const { limitMs } = this.#options;
    const until = this.#unblockedAt + this.#marginMs / 2;
    return this.#confirmedAt + limitMs - leaseMarginMs(limitMs) > now ? until : now;
  }
}
