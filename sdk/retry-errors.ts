/**
 * Errors for handlers to throw, named after what Skein then does, and the one convention behind them:
 * an error's own `isRetryable: false` and `retryAfterMs` say what its thrower wants. Any class may
 * have them. The decision stays the shard's.
 */
import type { TaskError } from "../protocol/errors.ts";
import { MAX_BACKOFF_MS } from "../protocol/limits.ts";
import { type Duration, readDuration } from "./duration.ts";

/**
 * Fails the task at once, whatever its step's `retries` say: another attempt would fail as well.
 *
 * @example
 * if (card.isStolen) throw new NonRetryableError("The card was reported stolen");
 */
export class NonRetryableError extends Error {
  override readonly name: string = "NonRetryableError";
  readonly isRetryable = false;
}

export interface RetryAfterOptions extends ErrorOptions {
  /** How long to wait at least, or until when; a number is milliseconds. At most 1d. */
  retryAfter: Duration | Date;
}

/**
 * Fails the attempt, and says when the next one makes sense. It takes the place of the step's
 * backoff, not of its `retries`: without any left, the task fails. A `retryAfter` that can't be read
 * leaves the wait to the backoff.
 *
 * @example
 * const seconds = Number(answer.headers.get("retry-after"));
 * if (answer.status === 429) throw new RetryAfterError("Asked too often", { retryAfter: seconds * 1_000 });
 */
export class RetryAfterError extends Error {
  override readonly name: string = "RetryAfterError";
  /** Milliseconds from when the error was made. */
  readonly retryAfterMs: number;

  constructor(message: string, { retryAfter, ...options }: RetryAfterOptions) {
    super(message, options);
    this.retryAfterMs =
      retryAfter instanceof Date ? retryAfter.getTime() - Date.now() : readDuration(retryAfter);
  }
}

/** What a thrown value wants of its retry, by the convention, within the protocol's bounds. */
export function retryWish(thrown: unknown): Pick<TaskError, "isRetryable" | "retryAfterMs"> {
  if (typeof thrown !== "object" || thrown === null) return {};
  const { isRetryable, retryAfterMs } = thrown as { isRetryable?: unknown; retryAfterMs?: unknown };
  const isWait = typeof retryAfterMs === "number" && !Number.isNaN(retryAfterMs);
  return {
    ...(isRetryable === false ? { isRetryable } : {}),
    ...(isWait ? { retryAfterMs: Math.min(MAX_BACKOFF_MS, Math.max(0, retryAfterMs)) } : {}),
  };
}
