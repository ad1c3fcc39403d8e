/** What became of runs: `client.runs`. Only reads; it never changes a run. */
import type { Page, Run, RunLogLine, RunResult, RunSummary } from "../protocol/http.ts";
import type { Json, Metadata } from "../protocol/json.ts";
import { isFinishedRun, type RunState } from "../protocol/states.ts";
import { RunFailedError, SkeinError } from "./errors.ts";
import type { Http } from "./http.ts";

/** Milliseconds one call waits for a result before it asks again. */
const RESULT_WAIT_MS = 30_000;

/** Milliseconds beyond that in which the answer must arrive. */
const ANSWER_MARGIN_MS = 10_000;

export interface WaitOptions {
  /** Milliseconds to wait for the run to finish. Default: for ever. */
  timeoutMs?: number | undefined;
  /** Stops the waiting, with the signal's reason; the run goes on. */
  signal?: AbortSignal | undefined;
}

export interface ListRuns {
  workflow?: string | undefined;
  state?: RunState | undefined;
  /** Runs created at this time or later. */
  since?: Date | string | undefined;
  /** Runs created before this time. */
  until?: Date | string | undefined;
  /** Runs with all of these labels. */
  metadata?: Metadata | undefined;
  /** Runs on a page: 50 by default, at most 200. */
  limit?: number | undefined;
  /** `nextCursor` of the page before. */
  cursor?: string | undefined;
}

export class Runs {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** One run with its tasks. Throws `SkeinError` `run_not_found`. */
  async get(id: string, options: { signal?: AbortSignal | undefined } = {}): Promise<Run> {
    return await this.#http.request("GET", runPath(id), { signal: options.signal });
  }

  /**
   * Runs, newest first, a page at a time.
   *
   * @example
   * const { items, nextCursor } = await skein.runs.list({ workflow: "order", state: "failed" });
   */
  async list(filter: ListRuns = {}): Promise<Page<RunSummary>> {
    const { metadata = {}, since, until, ...rest } = filter;
    const labels = Object.entries(metadata).map(([key, value]) => [`metadata.${key}`, value]);
    return await this.#http.request("GET", "/runs", {
      query: {
        ...rest,
        since: timeText(since),
        until: timeText(until),
        ...Object.fromEntries(labels),
      },
    });
  }

  /**
   * Waits until the run has finished, and gives its state, its outputs and what went wrong. Unlike
   * `handle.result()` it does not throw for a run that failed. Throws `SkeinError` `run_not_found`,
   * and `result_timeout` when `timeoutMs` passed first.
   */
  async result(id: string, options: WaitOptions = {}): Promise<RunResult> {
    const givesUpAt = Date.now() + (options.timeoutMs ?? Number.POSITIVE_INFINITY);
    for (;;) {
      const waitMs = Math.max(0, Math.min(RESULT_WAIT_MS, givesUpAt - Date.now()));
      const result = await this.#http.request<RunResult>("GET", `${runPath(id)}/result`, {
        query: { waitMs: Math.ceil(waitMs) },
        signal: options.signal,
        limitMs: waitMs + ANSWER_MARGIN_MS,
      });
      if (isFinishedRun(result.state)) return result;
      if (Date.now() >= givesUpAt) throw stillRunning(result, options.timeoutMs ?? 0);
    }
  }

  /** @internal The outputs of a run once it has completed; throws `RunFailedError` otherwise. */
  async outputs(id: string, options?: WaitOptions): Promise<{ [step: string]: Json }> {
    const { state, outputs, error } = await this.result(id, options);
    if (state !== "completed") throw new RunFailedError(id, state, error);
    return outputs;
  }

  /** What the run's handlers logged, oldest first, a page at a time. */
  async logs(
    id: string,
    page: { limit?: number | undefined; cursor?: string | undefined } = {},
  ): Promise<Page<RunLogLine>> {
    return await this.#http.request("GET", `${runPath(id)}/logs`, { query: { ...page } });
  }
}

function runPath(id: string): string {
  return `/runs/${encodeURIComponent(id)}`;
}

function timeText(time: Date | string | undefined): string | undefined {
  return time instanceof Date ? time.toISOString() : time;
}

function stillRunning({ id, state }: RunResult, timeoutMs: number): SkeinError {
  return new SkeinError({
    status: 0,
    code: "result_timeout",
    detail: `Run ${id} is still ${state} after ${timeoutMs} ms. It goes on: ask for its result again`,
  });
}
