/**
 * Requests to the HTTP API: the token, JSON both ways, problem documents as errors, and retries.
 * It retries every request: a caller may only give it what is safe to send twice.
 */
import type { Problem } from "../protocol/errors.ts";
import { SkeinError } from "./errors.ts";
import { pause } from "./platform.ts";

/** Milliseconds one try of a request may take. */
const TRY_LIMIT_MS = 30_000;

/** Tries after the first; with full jitter up to 4 s between them a short outage passes unseen. */
const MAX_RETRIES = 5;
const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 4_000;

/** The longest `Retry-After` that is waited for; a longer one fails the call at once. */
const LONGEST_RETRY_AFTER_MS = 60_000;

const RETRIED_STATUSES = new Set([408, 429, 500, 502, 503, 504]);

/** `fetch`, as far as it is used. */
export type Fetch = (
  url: string,
  init: { method: string; headers: Record<string, string>; body?: string; signal: AbortSignal },
) => Promise<FetchAnswer>;
export interface FetchAnswer {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  text(): Promise<string>;
}

export interface HttpOptions {
  url: string;
  token: string | undefined;
  fetch?: Fetch | undefined;
  /** A number in [0, 1): the jitter between retries. */
  random?: (() => number) | undefined;
}

export interface RequestOptions {
  query?: Record<string, string | number | undefined> | undefined;
  /** The body, already JSON. */
  body?: string | undefined;
  signal?: AbortSignal | undefined;
  /** Milliseconds one try may take. */
  limitMs?: number | undefined;
  /** Tries after the first. */
  retries?: number | undefined;
}

export class Http {
  readonly url: string;
  readonly token: string | undefined;
  readonly random: () => number;
  readonly #fetch: Fetch;

  constructor(options: HttpOptions) {
    this.url = checkedUrl(options.url);
    this.token = options.token;
    this.random = options.random ?? Math.random;
    this.#fetch = options.fetch ?? ((url, init) => fetch(url, init));
  }

  /** Sends the request until it is answered; resolves with the answer's JSON. */
  async request<Answer>(
    method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
    path: string,
    options: RequestOptions = {},
  ): Promise<Answer> {
    const maxRetries = options.retries ?? MAX_RETRIES;
    for (let retries = 0; ; retries += 1) {
      options.signal?.throwIfAborted();
      const outcome = await this.#try(method, path, options);
      if ("answer" in outcome) return outcome.answer as Answer;
      const waitMs = outcome.retryAfterMs ?? this.#jitterMs(retries);
      if (!outcome.isRetryable || retries >= maxRetries || waitMs > LONGEST_RETRY_AFTER_MS) {
        throw outcome.error;
      }
      await pause(waitMs, options.signal);
    }
  }

  #jitterMs(retries: number): number {
    return this.random() * Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** retries);
  }

  async #try(method: string, path: string, options: RequestOptions): Promise<Outcome> {
    const limitMs = options.limitMs ?? TRY_LIMIT_MS;
    const limit = new AbortController();
    const stop = (): void => limit.abort();
    const timer = setTimeout(stop, limitMs);
    options.signal?.addEventListener("abort", stop, { once: true });
    const where = `${method} ${this.url}/api/v1${path}`;
    try {
      const answer = await this.#fetch(`${this.url}/api/v1${path}${queryText(options.query)}`, {
        method,
        headers: this.#headers(options.body !== undefined),
        ...(options.body === undefined ? {} : { body: options.body }),
        signal: limit.signal,
      });
      return readAnswer(where, answer, await answer.text());
    } catch (cause) {
      options.signal?.throwIfAborted();
      return {
        error: networkError(where, cause, limit.signal.aborted, limitMs),
        isRetryable: true,
      };
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", stop);
    }
  }

  #headers(hasBody: boolean): Record<string, string> {
    return {
      accept: "application/json",
      ...(hasBody ? { "content-type": "application/json" } : {}),
      ...(this.token === undefined ? {} : { authorization: `Bearer ${this.token}` }),
    };
  }
}

type Outcome =
  | { answer: unknown }
  | { error: SkeinError; isRetryable: boolean; retryAfterMs?: number | undefined };

function readAnswer(where: string, answer: FetchAnswer, text: string): Outcome {
  const body = parseJson(text);
  if (answer.ok) {
    if (body !== undefined) return { answer: body };
    const detail = `${where} answered ${answer.status} with something that is not JSON: is this the address of Skein?`;
    const error = new SkeinError({ status: answer.status, code: "invalid_answer", detail });
    return { error, isRetryable: false };
  }
  const isAsked = answer.status === 429 || answer.status === 503;
  return {
    error: problemError(where, answer, body),
    isRetryable: RETRIED_STATUSES.has(answer.status),
    retryAfterMs: isAsked ? retryAfterMs(answer.headers.get("retry-after")) : undefined,
  };
}

function problemError(where: string, answer: FetchAnswer, body: unknown): SkeinError {
  const problem: Partial<Problem> = typeof body === "object" && body !== null ? body : {};
  return new SkeinError({
    status: answer.status,
    code: problem.code ?? `http_${answer.status}`,
    detail: problem.detail ?? problem.title ?? `${where} answered ${answer.status}`,
    errors: problem.errors,
    requestId: problem.requestId ?? answer.headers.get("x-request-id") ?? undefined,
  });
}

function networkError(
  where: string,
  cause: unknown,
  isTimeout: boolean,
  limitMs: number,
): SkeinError {
  if (isTimeout) {
    const detail = `${where} did not answer within ${limitMs} ms`;
    return new SkeinError({ status: 0, code: "request_timeout", detail, cause });
  }
  const why = cause instanceof Error ? rootCause(cause).message || cause.message : String(cause);
  const detail = `${where} could not be reached: ${why}`;
  return new SkeinError({ status: 0, code: "network_error", detail, cause });
}

// Fetch hides what happened (a refused connection, an unknown host) under its own "fetch failed".
function rootCause(error: Error): Error {
  return error.cause instanceof Error ? rootCause(error.cause) : error;
}

/** Milliseconds a `Retry-After` header asks for: seconds, or a date. */
function retryAfterMs(header: string | null): number | undefined {
  if (header === null || header.trim() === "") return undefined;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined; // The caller tells an answer that isn't JSON from one that is.
  }
}

function queryText(query: RequestOptions["query"]): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) parameters.append(name, String(value));
  }
  const text = parameters.toString();
  return text === "" ? "" : `?${text}`;
}

function checkedUrl(url: string): string {
  if (URL.canParse(url) && /^https?:/.test(url)) return url.replace(/\/+$/, "");
  throw new SkeinError({
    status: 0,
    code: "invalid_configuration",
    detail: `The address ${JSON.stringify(url)} is not a URL: write it as "https://skein.example.com"`,
  });
}
