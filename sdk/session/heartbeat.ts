/**
 * The life of one session: pings, and the moment its leases end. The moment is counted from when
 * the last answered ping was sent (what the shard has surely heard) and comes before the shard's
 * own, so that a handler has been told to stop before its task can be another worker's.
 */

const LONGEST_MARGIN_MS = 1_000;

/** Milliseconds a worker gives up before the shard does, where the shard gives up after `limitMs`. */
export function leaseMarginMs(limitMs: number): number {
  return Math.min(LONGEST_MARGIN_MS, limitMs / 5);
}

export interface HeartbeatOptions {
  pingIntervalMs: number;
  limitMs: number;
  ping: () => void;
  /** The shard may have given this session up. */
  onEnd: () => void;
}

export class Heartbeat {
  readonly #options: HeartbeatOptions;
  /** When each ping was sent that has no answer yet, oldest first. Bounded: limit / interval. */
  readonly #unanswered: number[] = [];
  #confirmedAt: number;
  #pingTimer: ReturnType<typeof setInterval> | undefined;
  #endTimer: ReturnType<typeof setTimeout> | undefined;

  /** `confirmedAt`: when something was sent that the shard has answered. */
  constructor(confirmedAt: number, options: HeartbeatOptions) {
    this.#options = options;
    this.#confirmedAt = confirmedAt;
    this.#pingTimer = setInterval(() => this.#ping(), options.pingIntervalMs);
    this.#watch();
  }

  /** The shard has answered the oldest ping. */
  pong(): void {
    this.#confirmedAt = this.#unanswered.shift() ?? this.#confirmedAt;
  }

  /** When the leases of this session end if nothing more is heard. */
  get endsAt(): number {
    const { limitMs } = this.#options;
    return this.#confirmedAt + limitMs - leaseMarginMs(limitMs);
  }

  stop(): void {
    clearInterval(this.#pingTimer);
    clearTimeout(this.#endTimer);
  }

  #ping(): void {
    this.#unanswered.push(Date.now());
    this.#options.ping();
  }

  // Set once and moved only when it fires: a pong costs no timer.
  #watch(): void {
    const leftMs = this.endsAt - Date.now();
    if (leftMs > 0) {
      this.#endTimer = setTimeout(() => this.#watch(), leftMs);
      return;
    }
    this.stop();
    this.#options.onEnd();
  }
}
