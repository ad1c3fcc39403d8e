/** How long to wait before connecting again. Pure: the jitter is given. */
import { RECONNECT_MAX_MS } from "../../protocol/session.ts";

const FIRST_WAIT_MS = 250;

/**
 * Milliseconds before the next try, after `failures` tries in a row that led to no welcome. Full
 * jitter: a deploy drops every worker at once, and they must not come back at once.
 */
export function reconnectDelayMs(failures: number, random: () => number): number {
  return random() * Math.min(RECONNECT_MAX_MS, FIRST_WAIT_MS * 2 ** failures);
}
