/**
 * What an attempt came to, as frames. Outputs and errors are held to the protocol's limits here:
 * nothing that the shard would refuse is ever sent.
 */
import type { TaskError, TaskErrorCode } from "../../protocol/errors.ts";
import { MAX_ERROR_BYTES, MAX_NAME_LENGTH, MAX_PAYLOAD_BYTES } from "../../protocol/limits.ts";
import type { AttemptRef } from "../../protocol/session.ts";
import { byteLength, cutToBytes, encodeJson, exceedsBytes } from "../json.ts";
import { RateLimitedError } from "../errors.ts";
import { retryWish } from "../retry-errors.ts";
import type { Attempt } from "./attempt.ts";

/** How a handler ended: its output, already JSON, or what went wrong. */
export type Outcome =
  | { type: "completed"; output: string }
  | { type: "failed"; error: TaskError; cause: unknown }
  | { type: "rate_limited"; limit: string | undefined; retryAfterMs: number };

/** The outcome of a handler that returned `output`. */
export function outcomeOfOutput(step: string, output: unknown): Outcome {
  let text: string;
  try {
    text = encodeJson(output, `The output of step "${step}"`);
  } catch (cause) {
    return unusable("invalid_output", cause);
  }
  if (!exceedsBytes(text, MAX_PAYLOAD_BYTES)) return { type: "completed", output: text };
  const cause = new RangeError(
    `The output of step "${step}" is ${byteLength(text)} bytes of JSON: it may be ${MAX_PAYLOAD_BYTES}. Store it elsewhere and return where it is`,
  );
  return unusable("payload_too_large", cause);
}

/** The outcome of a handler that threw. */
export function outcomeOfThrown(cause: unknown): Outcome {
  if (cause instanceof RateLimitedError) {
    return { type: "rate_limited", limit: cause.limit, retryAfterMs: cause.retryAfterMs };
  }
  const error = { ...taskError("handler_error", cause), ...retryWish(cause) };
  return { type: "failed", error, cause };
}

// The handler did its work: another attempt would do it again, and return the same.
function unusable(code: TaskErrorCode, cause: unknown): Outcome {
  return { type: "failed", error: { ...taskError(code, cause), isRetryable: false }, cause };
}

/** The `completed`, `failed` or `rate_limited` frame of an attempt that has ended. */
export function resultFrame(attempt: Attempt, outcome: Outcome): string {
  const about = `${attempt.refText},"shard":${attempt.frame.shard}`;
  const times = `"startedAt":${attempt.startedAt},"finishedAt":${Date.now()}`;
  if (outcome.type === "rate_limited") {
    const limit = outcome.limit === undefined ? "" : `"limit":${JSON.stringify(outcome.limit)},`;
    return `{"type":"rate_limited",${about},${times},${limit}"retryAfterMs":${outcome.retryAfterMs}}`;
  }
  return outcome.type === "completed"
    ? `{"type":"completed",${about},${times},"output":${outcome.output}}`
    : `{"type":"failed",${about},${times},"error":${JSON.stringify(outcome.error)}}`;
}

/** The frame that gives a cancelled attempt's slot back. */
export function releasedFrame({ task, attempt }: AttemptRef): string {
  return JSON.stringify({ type: "released", task, attempt });
}

function taskError(code: TaskErrorCode, thrown: unknown): TaskError {
  if (!(thrown instanceof Error)) {
    return { code, name: "Error", message: cutToBytes(thrownText(thrown), MAX_ERROR_BYTES) };
  }
  return {
    code,
    name: cutToBytes(String(thrown.name), MAX_NAME_LENGTH),
    message: cutToBytes(String(thrown.message), MAX_ERROR_BYTES),
    ...(typeof thrown.stack === "string"
      ? { stack: cutToBytes(thrown.stack, MAX_ERROR_BYTES) }
      : {}),
  };
}

// A handler may throw anything: an object says more as JSON than as "[object Object]".
function thrownText(thrown: unknown): string {
  if (typeof thrown === "string") return thrown;
  try {
    return JSON.stringify(thrown) ?? String(thrown);
  } catch {
    return Object.prototype.toString.call(thrown); // It can't be written: its kind is all there is.
  }
}
