/**
 * Stored limits: `client.limits`. Changed while workflows run under them, without a deploy.
 */
import type { Page } from "../protocol/http.ts";
import type { LimitState, LimitUse, PutLimit, StoredLimit } from "../protocol/limit-bodies.ts";
import type { LimitStrategy } from "../protocol/states.ts";
import type { Http } from "./http.ts";
import { encodeJson } from "./json.ts";
import { checkedRate, type RateOptions } from "./limits.ts";

interface CallOptions {
  signal?: AbortSignal | undefined;
}

/** What a limit bounds: one of the two. */
export interface BoundOptions {
  /** How many there may be at once, of each key; at least 1. */
  concurrency?: number | undefined;
  /** How many units each key gets; every window counts. */
  rate?: RateOptions | readonly RateOptions[] | undefined;
}

/** Another bound, or another share, for some keys of a limit. */
export interface OverrideOptions extends BoundOptions {
  /** A key, or the beginning of keys and `*`: `"enterprise-*"`. The first that fits counts. */
  key: string;
  /** The keys' share beside others. Default 1. */
  weight?: number | undefined;
}

/**
 * A limit as it is stored, whole: what is left out of a later `put` is gone.
 *
 * @example
 * { rate: { units: 90_000, per: "1m" }, key: "input.customer", fallbackKey: "nobody" }
 */
export interface PutLimitOptions extends BoundOptions {
  /** For people; shown beside the name. */
  description?: string | undefined;
  /** CEL: what it is counted by, where a use has no key of its own. Default one count for all. */
  key?: string | undefined;
  /** The key where that can't be evaluated. Without one the run fails with `invalid_key`. */
  fallbackKey?: string | undefined;
  /** Of a rate: what a task takes, where a use doesn't say: a number, or CEL. Default 1. */
  units?: LimitUse["units"];
  /** Of a concurrency: what happens when it is full. Default `queue`: what finds it full waits. */
  strategy?: LimitStrategy | undefined;
  /** Tasks that are under it without naming it. Default those that name it. */
  appliesTo?: { tenant: true } | { action: string } | undefined;
  /** Other bounds or shares of some keys, at most 100; the first that fits a key counts. Default none. */
  overrides?: readonly OverrideOptions[] | undefined;
}

export class StoredLimits {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /**
   * Stores a limit, or changes it: a raised one dispatches at once, a lowered one lets what runs
   * finish. Throws `DefinitionError` for a rate that can't be, `SkeinError` `invalid_request` or
   * `too_many_limits` (1,000 a tenant).
   *
   * @example
   * await skein.limits.put("openai-tokens", {
   *   rate: { units: 90_000, per: "1m" },
   *   overrides: [{ key: "enterprise-*", rate: { units: 400_000, per: "1m" } }],
   * });
   */
  async put(
    name: string,
    options: PutLimitOptions,
    { signal }: CallOptions = {},
  ): Promise<StoredLimit> {
    const body = encodeJson(storedLimit(name, options), `The limit "${name}"`);
    return await this.#http.request("PUT", limitPath(name), { body, signal });
  }

  /**
   * A limit and how it is used now: for each of its busiest keys, at most 100, who holds it and how
   * many wait. Throws `SkeinError` `limit_not_found`.
   *
   * @example
   * const { keys } = await skein.limits.get("openai-tokens");
   * for (const { key, waiting, pausedUntil } of keys) console.log(key, waiting, pausedUntil);
   */
  async get(name: string, { signal }: CallOptions = {}): Promise<LimitState> {
    return await this.#http.request("GET", limitPath(name), { signal });
  }

  /** A page of limits, by name: 50, or `limit`, at most 200. */
  async list({
    cursor,
    limit,
    signal,
  }: CallOptions & { cursor?: string | undefined; limit?: number | undefined } = {}): Promise<
    Page<StoredLimit>
  > {
    return await this.#http.request("GET", "/limits", { query: { cursor, limit }, signal });
  }

  /**
   * Deletes a limit. Throws `SkeinError` `limit_in_use` while a workflow's active version names it, and
   * `limit_not_found`, also when an earlier sending of the same call has deleted it.
   */
  async delete(name: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#http.request("DELETE", limitPath(name), { signal });
  }
}

function storedLimit(name: string, options: PutLimitOptions): PutLimit {
  const { rate, overrides, concurrency, ...rest } = options;
  return {
    ...said(rest),
    ...bound({ concurrency, rate }, name),
    ...(overrides !== undefined && {
      overrides: overrides.map(({ key, weight, ...other }) => ({
        key,
        ...said({ weight }),
        ...bound(other, name),
      })),
    }),
  };
}

function bound(
  { concurrency, rate }: BoundOptions,
  name: string,
): Pick<PutLimit, "concurrency" | "rate"> {
  return {
    ...(concurrency !== undefined && { concurrency }),
    ...(rate !== undefined && { rate: checkedRate(rate, `limit "${name}"`) }),
  };
}

/** Without what is undefined. */
function said<Options extends object>(
  options: Options,
): { [Name in keyof Options]: NonNullable<Options[Name]> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [Name in keyof Options]: NonNullable<Options[Name]>;
  };
}

function limitPath(name: string): string {
  return `/limits/${encodeURIComponent(name)}`;
}
