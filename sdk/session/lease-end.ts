/**
 * The moment at which a worker without a socket gives its attempts up: before its shard does. The shard may
 * put its own moment off, and then says so first.
 */
import { leaseMarginMs } from "./heartbeat.ts";

export class LeaseEnd {
  readonly #onEnd: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #at = 0;

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  /** It comes so many milliseconds from now, or has come. */
  set(leftMs: number): void {
    this.clear();
    if (leftMs <= 0) return this.#onEnd();
    this.#at = Date.now() + leftMs;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#onEnd();
    }, leftMs);
  }

  /**
   * The shard keeps the attempts for so long, counted from a moment that is not before `since`. One that is
   * over stays so.
   */
  putOff(graceMs: number, since: number): void {
    const at = since + graceMs - leaseMarginMs(graceMs);
    if (this.#timer !== undefined && at > this.#at) this.set(at - Date.now());
  }

  /** There is a socket again, or nothing more to give up. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
