/**
 * Limits as they are written in a workflow or a step: checked here, where they are written, and turned
 * into milliseconds. What an expression means only the server knows.
 */
import type { LimitUse, RateWindow } from "../protocol/limit-bodies.ts";
import {
  MAX_CONCURRENCY,
  MAX_KEY_LENGTH,
  MAX_LIMIT_USES,
  MAX_RATE_UNITS,
  MAX_RATE_WINDOW_MS,
  MAX_RATE_WINDOWS,
  MAX_SESSION_SLOTS,
  MAX_WEIGHT,
  MIN_WEIGHT,
  PRIORITIES,
} from "../protocol/limits.ts";
import type { LimitStrategy } from "../protocol/states.ts";
import { type Duration, durationMs } from "./duration.ts";
import { DefinitionError } from "./errors.ts";
import { checkedExpression } from "./expression.ts";
import { checkName } from "./names.ts";

/**
 * One window of a rate: a bucket that gets `units` in every `per`, evenly.
 *
 * @example
 * rate: [{ units: 500, per: "1m" }, { units: 20, per: "1s" }]
 */
export interface RateOptions {
  /** More than 0. */
  units: number;
  /** From 1ms to 30d. */
  per: Duration;
  /** What may be spent at once after a pause. Default `units`. */
  burst?: number | undefined;
}

/**
 * A limit that a workflow's runs or a step's tasks are under: a stored one by its name
 * (`client.limits.put`), or with a bound of its own. With a `key` alone it bounds nothing, and shares
 * what there is fairly among its keys.
 *
 * @example
 * limits: [
 *   { key: "input.customer", concurrency: 5 }, // of each customer
 *   { limit: "openai-tokens", units: "input.maxTokens" }, // shared, and changed without a deploy
 * ]
 */
export interface LimitOptions {
  /** A stored limit's name. It has its bound where it is stored. */
  limit?: string | undefined;
  /** How many there may be at once, of each key; at least 1. */
  concurrency?: number | undefined;
  /** How many units each key gets; every window counts. */
  rate?: RateOptions | readonly RateOptions[] | undefined;
  /**
   * CEL over `input`, `metadata` and, of a step, `parents`: the text or number that it is counted by.
   * Default the stored limit's, else one count for all.
   */
  key?: string | undefined;
  /** The key where it can't be evaluated. Without one the run fails with `invalid_key`. */
  fallbackKey?: string | undefined;
  /** What one task takes of a rate: a number, or CEL. Default 1. See `ctx.settle`. */
  units?: number | string | undefined;
  /** The key's share beside other keys that wait: a number, or CEL. Default 1; from 0.001 to 1,000. */
  weight?: number | string | undefined;
  /**
   * When a concurrency is full: `queue` (the default) waits, `cancel-newest` cancels the run that
   * finds it full, `cancel-in-progress` cancels the oldest run that holds it.
   */
  strategy?: LimitStrategy | undefined;
}

const KEY = "input.customer";

/** The limits as they are registered. `of` names their place in errors: step "a" of workflow "b", say. */
export function checkedLimits(limits: readonly LimitOptions[], of: string): LimitUse[] {
  if (limits.length > MAX_LIMIT_USES) {
    throw new DefinitionError(`${of} has ${limits.length} limits: use at most ${MAX_LIMIT_USES}`);
  }
  return limits.map((limit, index) => checkedLimit(limit, `limits[${index}] of ${of}`));
}

function checkedLimit(options: LimitOptions, of: string): LimitUse {
  const { limit, concurrency, rate, key, fallbackKey, units, weight, strategy } = options;
  if (limit !== undefined) checkName(limit, `The limit that ${of} names`);
  const bounds = [limit, concurrency, rate].filter((said) => said !== undefined).length;
  if (bounds > 1) {
    throw new DefinitionError(
      `${of} has several bounds: say limit, concurrency or rate, one of them`,
    );
  }
  if (limit === undefined) checkOwn(options, of);
  if (fallbackKey === "" || (fallbackKey?.length ?? 0) > MAX_KEY_LENGTH) {
    throw new DefinitionError(
      `The fallbackKey of ${of} must have 1 to ${MAX_KEY_LENGTH} characters`,
    );
  }
  return {
    ...(limit !== undefined && { limit }),
    ...(concurrency !== undefined && {
      concurrency: checkedCount(concurrency, `The concurrency of ${of}`, MAX_CONCURRENCY),
    }),
    ...(rate !== undefined && { rate: checkedRate(rate, of) }),
    ...(key !== undefined && { key: checkedExpression(key, `The key of ${of}`, KEY) }),
    ...(fallbackKey !== undefined && { fallbackKey }),
    ...(units !== undefined && {
      units: checkedAmount(units, `The units of ${of}`, MAX_RATE_UNITS),
    }),
    ...(weight !== undefined && {
      weight: checkedAmount(weight, `The weight of ${of}`, MAX_WEIGHT, MIN_WEIGHT),
    }),
    ...(strategy !== undefined && { strategy }),
  };
}

/** What a limit that is not stored may say: of a stored one, only the server knows what it bounds. */
function checkOwn(
  { concurrency, rate, key, fallbackKey, units, strategy }: LimitOptions,
  of: string,
): void {
  if (concurrency === undefined && rate === undefined && key === undefined) {
    throw new DefinitionError(
      `${of} bounds nothing: say limit, concurrency or rate, or a key to be fair`,
    );
  }
  if (fallbackKey !== undefined && key === undefined) {
    throw new DefinitionError(`${of} has a fallbackKey and no key: give it the key, or neither`);
  }
  if (units !== undefined && rate === undefined) {
    throw new DefinitionError(`${of} has units, which only a rate counts: give it a rate`);
  }
  if (strategy !== undefined && concurrency === undefined) {
    throw new DefinitionError(
      `${of} has a strategy, which only a concurrency has: what waits for a rate always waits`,
    );
  }
}

/** The windows as they are stored. */
export function checkedRate(rate: RateOptions | readonly RateOptions[], of: string): RateWindow[] {
  const windows = "units" in rate ? [rate] : rate;
  if (windows.length === 0 || windows.length > MAX_RATE_WINDOWS) {
    throw new DefinitionError(
      `The rate of ${of} has ${windows.length} windows: from 1 to ${MAX_RATE_WINDOWS}`,
    );
  }
  const checked = windows.map(({ units, per, burst }): RateWindow => {
    const window = {
      units: checkedNumber(units, `The units of a rate of ${of}`, MAX_RATE_UNITS),
      perMs: durationMs(per, `The per of a rate of ${of}`, { maximumMs: MAX_RATE_WINDOW_MS }),
    };
    if (burst === undefined) return window;
    return {
      ...window,
      burst: checkedNumber(burst, `The burst of a rate of ${of}`, MAX_RATE_UNITS),
    };
  });
  const lengths = checked.map(({ perMs }) => perMs);
  const repeated = lengths.find((perMs, index) => lengths.indexOf(perMs) !== index);
  if (repeated === undefined) return checked;
  throw new DefinitionError(
    `The rate of ${of} has two windows of ${repeated} ms: keep one of them`,
  );
}

export function checkedPriority(priority: number, of: string): number {
  if (PRIORITIES.some((known) => known === priority)) return priority;
  throw new DefinitionError(
    `The priority of ${of} is ${priority}: use 1, 2, or 3, the most urgent`,
  );
}

export function checkedStepSlots(slots: number, of: string): number {
  return checkedCount(slots, `The slots of ${of}`, MAX_SESSION_SLOTS);
}

function checkedAmount(
  amount: number | string,
  what: string,
  most: number,
  least?: number,
): number | string {
  if (typeof amount === "string") return checkedExpression(amount, what, "input.maxTokens");
  return checkedNumber(amount, what, most, least);
}

/** Without a `least` it need only be more than 0. */
function checkedNumber(value: number, what: string, most: number, least?: number): number {
  const isEnough = least === undefined ? value > 0 : value >= least;
  if (Number.isFinite(value) && isEnough && value <= most) return value;
  const from = least === undefined ? "more than 0" : `at least ${least}`;
  throw new DefinitionError(`${what} is ${value}: it must be ${from}, and at most ${most}`);
}

function checkedCount(value: number, what: string, most: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new DefinitionError(`${what} is ${value}: it must be a whole number from 1 to ${most}`);
}
