/**
 * How a handler is run and tried again, as it is written: checked here, where it is written, and
 * turned into milliseconds. When to retry is the shard's decision, never made in this package.
 */
import type { Backoff, ExecutionPolicy } from "../protocol/http.ts";
import {
  DEFAULT_BACKOFF,
  MAX_BACKOFF_FACTOR,
  MAX_BACKOFF_MS,
  MAX_RETRIES,
  MAX_TIMEOUT_MS,
} from "../protocol/limits.ts";
import { type Duration, durationMs } from "./duration.ts";
import { DefinitionError } from "./errors.ts";
import { checkedExpression } from "./expression.ts";

/**
 * How long to wait between a failed attempt and the next: `initial` before the first retry, then
 * `factor` times as long before each further one, but never more than `max`.
 *
 * @example
 * backoff: { initial: "2s", factor: 3, max: "10m" } // 2 s, 6 s, 18 s, 54 s, … 10 min
 */
export interface BackoffOptions {
  /** Default 1s; from 1ms to 1d. */
  initial?: Duration | undefined;
  /** Default 2; from 1 (each wait is the same) to 100. */
  factor?: number | undefined;
  /** Default 5m; at most 1d. */
  max?: Duration | undefined;
  /**
   * The part of each wait that is random, so that what failed together doesn't come back together:
   * from 0 (none) to 1 (anything between nothing and the whole wait). Default 0.5.
   */
  jitter?: number | undefined;
}

/** How a handler is run and tried again. */
export interface ExecutionOptions {
  /**
   * How long one attempt may take: milliseconds or `"30s"`, `"5m"`, `"1h"`. Default 1m, at most 1d.
   * An attempt that takes longer is aborted and counts as failed. See also `ctx.extendTimeout`.
   */
  timeout?: Duration | undefined;
  /**
   * Attempts after the first, when it failed or took too long. Default 0, at most 100. Attempts that
   * are lost with their worker are made up for and don't count.
   */
  retries?: number | undefined;
  backoff?: BackoffOptions | undefined;
  /**
   * CEL over `error.code`, `error.name`, `error.message` and `attempt`: false ends the retries. One
   * that can't be evaluated is as good as true. Default: retry everything but a `NonRetryableError`.
   *
   * @example
   * retryIf: 'error.name == "RateLimited" || error.code == "execution_timeout"'
   */
  retryIf?: string | undefined;
}

/** A condition, as an error shows one. */
const EXAMPLE = 'error.name == "RateLimited"';

/** The policy as it is registered, without what says nothing. `of` names it in errors: step "a", say. */
export function executionPolicy(options: ExecutionOptions, of: string): ExecutionPolicy {
  const { timeout } = options;
  const bounds = { maximumMs: MAX_TIMEOUT_MS };
  return {
    ...(timeout === undefined
      ? {}
      : { timeoutMs: durationMs(timeout, `The timeout of ${of}`, bounds) }),
    ...retryPolicy(options, of),
  };
}

function retryPolicy({ retries, backoff, retryIf }: ExecutionOptions, of: string): ExecutionPolicy {
  if (retries === undefined && (backoff !== undefined || retryIf !== undefined)) {
    const which = backoff === undefined ? "retryIf" : "backoff";
    throw new DefinitionError(
      `There is ${which} but no retries on ${of}: say how many, as \`retries\``,
    );
  }
  const policy = {
    retries: checkedRetries(retries ?? 0, of),
    ...(backoff === undefined ? {} : { backoff: checkedBackoff(backoff, of) }),
    ...(retryIf === undefined
      ? {}
      : { retryIf: checkedExpression(retryIf, `retryIf of ${of}`, EXAMPLE) }),
  };
  return policy.retries === 0 ? {} : policy;
}

function checkedRetries(retries: number, of: string): number {
  if (Number.isInteger(retries) && retries >= 0 && retries <= MAX_RETRIES) return retries;
  throw new DefinitionError(
    `The retries of ${of} are ${retries}: give a whole number from 0 to ${MAX_RETRIES}`,
  );
}

function checkedBackoff({ initial, factor, max, jitter }: BackoffOptions, of: string): Backoff {
  const bounds = { maximumMs: MAX_BACKOFF_MS };
  const backoff: Backoff = {
    ...(initial === undefined
      ? {}
      : { initialMs: durationMs(initial, `backoff.initial of ${of}`, bounds) }),
    ...(factor === undefined
      ? {}
      : { factor: within(1, MAX_BACKOFF_FACTOR, factor, "factor", of) }),
    ...(max === undefined ? {} : { maxMs: durationMs(max, `backoff.max of ${of}`, bounds) }),
    ...(jitter === undefined ? {} : { jitter: within(0, 1, jitter, "jitter", of) }),
  };
  const { initialMs, maxMs } = { ...DEFAULT_BACKOFF, ...backoff };
  if (initialMs <= maxMs) return backoff;
  const [first, longest] = [initial, max].map((given) =>
    given === undefined ? " by default" : "",
  );
  throw new DefinitionError(
    `backoff.initial of ${of} is ${initialMs} ms${first}, but backoff.max is ${maxMs} ms${longest}: lower \`initial\` or raise \`max\``,
  );
}

function within(least: number, most: number, value: number, name: string, of: string): number {
  if (value >= least && value <= most) return value;
  throw new DefinitionError(
    `backoff.${name} of ${of} is ${value}: give a number from ${least} to ${most}`,
  );
}
