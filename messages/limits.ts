/**
 * The bounds of messages, each with its reason.
 */

/** Ids read at once: pgmq is slow by the call, not by the message. */
export const READ_BATCH = 500;

/** Bytes of bodies opened at once: the largest message eight times over, beside what a shard keeps. */
export const OPEN_BYTES = 8 * 1024 * 1024;

/** What has been read is hidden for so long: a shard may take 25 s to say that it can't. */
export const HIDDEN_SECONDS = 60;

/** First and longest wait before a message that could not be handled is tried again. */
export const RETRY_MS = 1_000;
export const RETRY_MAX_MS = 60_000;

/** The longest that a tenant rests which could take nothing: one call tells whether it can again. */
export const BUSY_MAX_MS = 15_000;

/** A drain works so long in one alarm: the platform ends one that takes more CPU than 30 s. */
export const DRAIN_TURN_MS = 10_000;

/** It sleeps at least so long when there was nothing to read, whatever the clocks say. */
export const MIN_REST_MS = 50;

/** A statement of a drain's without an answer for so long has failed, as a commit would. */
export const QUERY_TIMEOUT_MS = 10_000;

/** Events of one tenant that may wait to be published: with more, its callers hear of it. */
export const MAX_ACCEPTED_EVENTS = 100_000;

/** Accepting events may take so long: with the 25 s that a shard had before, less than a client waits. */
export const ACCEPT_TIMEOUT_MS = 4_000;

/** How long to wait with a message, or with a queue, after so many tries. */
export function retryMs(tries: number): number {
  return Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** Math.min(tries - 1, 16));
}
