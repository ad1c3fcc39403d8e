/**
 * When a run that is started with a delay begins.
 */
import { MAX_DELAY_MS } from "./limits.ts";

/** As a start says it: milliseconds from now, or a moment. */
export interface Delay {
  delayMs?: number;
  /** ISO 8601, or milliseconds since 1970. */
  startAt?: string | number;
}

/** In milliseconds since 1970; undefined: at once, as for a moment that has passed. */
export function delayedUntil({ delayMs = 0, startAt }: Delay, now: number): number | undefined {
  const at = startAt === undefined ? now + delayMs : new Date(startAt).getTime();
  return at > now ? at : undefined;
}

/** Whether a delay is no longer than a run may wait; what begins later is a schedule. */
export function isDelayInBounds(delay: Delay, now: number): boolean {
  return (delayedUntil(delay, now) ?? now) <= now + MAX_DELAY_MS;
}
