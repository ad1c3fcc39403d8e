/**
 * Tenants whose shard can take nothing now: how long each is left alone. Pure; it is given the time.
 */
import { BUSY_MAX_MS, RETRY_MS } from "./limits.ts";

export class Rests {
  readonly #busy = new Map<string, { until: number; tries: number }>();

  /** Whether the tenant needn't be tried. */
  isResting(tenant: string, now: number): boolean {
    return (this.#busy.get(tenant)?.until ?? 0) > now;
  }

  /** It could take nothing: for how many milliseconds it rests, longer each time. */
  begin(tenant: string, now: number): number {
    const tries = this.#busy.get(tenant)?.tries ?? 0;
    const ms = Math.min(BUSY_MAX_MS, RETRY_MS * 2 ** Math.min(tries, 16));
    this.#busy.set(tenant, { until: now + ms, tries: tries + 1 });
    return ms;
  }

  /** It has taken something. True: it had rested, and what was put off meanwhile may be tried. */
  end(tenant: string): boolean {
    return this.#busy.delete(tenant);
  }

  /** Nothing is left to be tried, for anybody. */
  clear(): void {
    this.#busy.clear();
  }
}
