/**
 * Decides whether an attempt that failed is followed by another, and when. Pure: chance and the
 * step's own condition are given. The worker has no say in it but for what its error asks.
 */
import type { RetryPolicy } from "../../database/definition-rows.ts";
import type { TaskError } from "../../protocol/errors.ts";
import { MAX_BACKOFF_MS } from "../../protocol/limits.ts";

/** An attempt that failed or ran out of time. */
export interface Failure {
  error: TaskError;
  attempt: number;
  /** Earlier attempts of its task that did. */
  failures: number;
}

export interface Chance {
  /** In [0, 1). */
  random: () => number;
  /** Whether the step's own condition is for another attempt. */
  allows: (condition: string, failure: Failure) => boolean;
}

/** Milliseconds until the next attempt; undefined when this one was the last. */
export function retryDelayMs(
  policy: RetryPolicy | undefined,
  failure: Failure,
  { random, allows }: Chance,
): number | undefined {
  const { error, failures } = failure;
  if (policy === undefined || failures >= policy.retries || isHopeless(error)) return undefined;
  if (policy.retryIf !== undefined && !allows(policy.retryIf, failure)) return undefined;
  if (error.retryAfterMs !== undefined) return Math.min(MAX_BACKOFF_MS, error.retryAfterMs);
  const { initialMs, factor, maxMs, jitter } = policy.backoff;
  const waitMs = Math.min(maxMs, initialMs * factor ** failures);
  return Math.round(waitMs * (1 - jitter * random()));
}

/** Another attempt would end in the same way. */
function isHopeless({ code, isRetryable }: TaskError): boolean {
  return isRetryable === false || code === "payload_too_large" || code === "invalid_output";
}
