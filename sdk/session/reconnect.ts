/** How long to wait before connecting again. Pure: the jitter is given. */
import { RECONNECT_MAX_MS } from "../../protocol/session.ts";

const FIRST_WAIT_MS = 250;

/** Longest wait beyond the one that a shard has asked for, in milliseconds: clocks run alike in a fleet. */
const PLACE_JITTER_MS = 200;

/** Longest wait before a socket to a shard that is new, in milliseconds: a whole fleet hears of it at once. */
const NEW_SHARD_SPREAD_MS = 1_000;

/**
 * Milliseconds before the next try, after `failures` tries in a row that led to no welcome. Full
 * jitter: a deploy drops every worker at once, and they must not come back at once.
 */
export function reconnectDelayMs(failures: number, random: () => number): number {
  return random() * Math.min(RECONNECT_MAX_MS, FIRST_WAIT_MS * 2 ** failures);
}

/** Milliseconds before coming back to a shard that has asked for so many. */
export function placeDelayMs(retryAfterMs: number, random: () => number): number {
  return retryAfterMs + random() * PLACE_JITTER_MS;
}

/** Milliseconds before the first socket to a shard that has been announced. */
export function newShardDelayMs(random: () => number): number {
  return random() * NEW_SHARD_SPREAD_MS;
}
