/** What became of runs, and what is done about them: `client.runs`. It starts none but replays. */
import type {
  CancelledRun,
  CancelledRuns,
  CancelRun,
  Page,
  ReplayedRuns,
  ReplayRun,
  ReplayRuns,
  Run,
  RunFilter as WireFilter,
  RunLogLine,
  RunResult,
  RunSummary,
  StartedRun,
} from "../protocol/http.ts";
import type { RunExport } from "../protocol/history-bodies.ts";
import type { Json, Metadata } from "../protocol/json.ts";
import type { Why } from "../protocol/limit-bodies.ts";
import { isFinishedRun, type RunState } from "../protocol/states.ts";
import { RunFailedError, SkeinError } from "./errors.ts";
import type { Http } from "./http.ts";
import { encodeJson } from "./json.ts";
import { pause } from "./platform.ts";

/** Milliseconds one call waits for a result before it asks again. */
const RESULT_WAIT_MS = 30_000;

/** Milliseconds until a server that could not wait is asked again, before full jitter. */
const ASK_AGAIN_MS = 1_000;

/** Milliseconds beyond that in which the answer must arrive. */
const ANSWER_MARGIN_MS = 10_000;

export interface WaitOptions {
  /** Milliseconds to wait for the run to finish. Default: for ever. */
  timeoutMs?: number | undefined;
  /** Stops the waiting, with the signal's reason; the run goes on. */
  signal?: AbortSignal | undefined;
}

/** Which runs a call is about: all that fit everything given, which is something. */
export interface RunFilter<State extends RunState = RunState> {
  workflow?: string | undefined;
  state?: State | undefined;
  /** Runs created at this time or later. */
  since?: Date | string | undefined;
  /** Runs created before this time. */
  until?: Date | string | undefined;
  /** Runs with all of these labels. */
  metadata?: Metadata | undefined;
  /** Runs that this event started. */
  eventId?: string | undefined;
}

export interface ListRuns extends RunFilter {
  /** Runs on a page: 50 by default, at most 200. */
  limit?: number | undefined;
  /** `nextCursor` of the page before. */
  cursor?: string | undefined;
}

export interface CancelOptions {
  /** Shown in the run's error; at most 1,000 characters. */
  reason?: string | undefined;
  signal?: AbortSignal | undefined;
}

export interface ReplayManyOptions {
  /**
   * Begin with what failed: the outputs of completed steps are reused, but for those that have been
   * undone by their `compensate`. Default false.
   */
  fromFailure?: boolean | undefined;
  /**
   * The version of the workflow to run: the run's own (the default), or the one that is active now,
   * which reuses no outputs.
   */
  version?: "original" | "active" | undefined;
  /** Two replays with the same key within a day are one. Default: a new key for each call. */
  idempotencyKey?: string | undefined;
  signal?: AbortSignal | undefined;
}

export interface ReplayOptions extends ReplayManyOptions {
  /**
   * Begin with this step: it and those that depend on it run again, and so do those that have been
   * undone; the outputs of the others are reused. Default: with the first steps, reusing nothing.
   */
  fromStep?: string | undefined;
  /** Default the original's. The worker checks it, not this call: it knows no schema. */
  input?: unknown;
}

/** A run that was started. */
export interface RunHandle<Result = unknown> {
  readonly id: string;
  /** False when a run with this idempotency key existed: this is that one. */
  readonly created: boolean;
  /**
   * Waits until the run has finished. Throws `RunFailedError` when it failed or was cancelled and
   * `SkeinError` with code `result_timeout` when `timeoutMs` passed first.
   */
  result(options?: WaitOptions): Promise<Result>;
  /** Cancels the run; see `client.runs.cancel`. */
  cancel(options?: CancelOptions): Promise<CancelledRun>;
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
      const askedAt = Date.now();
      const waitMs = Math.max(0, Math.min(RESULT_WAIT_MS, givesUpAt - askedAt));
      const result = await this.#http.request<RunResult>("GET", `${runPath(id)}/result`, {
        query: { waitMs: Math.ceil(waitMs) },
        signal: options.signal,
        limitMs: waitMs + ANSWER_MARGIN_MS,
      });
      if (isFinishedRun(result.state)) return result;
      const now = Date.now();
      if (now >= givesUpAt) throw stillRunning(result, options.timeoutMs ?? 0);
      // The shard holds a bounded number of waiters; beyond it an answer comes at once.
      if (now < askedAt + waitMs) {
        const pauseMs = this.#http.random() * ASK_AGAIN_MS;
        await pause(Math.min(pauseMs, givesUpAt - now), options.signal);
      }
    }
  }

  /**
   * What the run's handlers logged, a page at a time: task by task, in the order of `tasks`, and of
   * each the oldest line first. `at` tells when.
   */
  async logs(
    id: string,
    page: { limit?: number | undefined; cursor?: string | undefined } = {},
  ): Promise<Page<RunLogLine>> {
    return await this.#http.request("GET", `${runPath(id)}/logs`, { query: { ...page } });
  }

  /**
   * The run as one document, with its version's definition, its event, every attempt, output and log line. Of a
   * finished run it is always the same. Keep it as a fixture, import it elsewhere, or hold it against another
   * definition. Throws `SkeinError` `run_not_found`, and `run_too_large` beyond 8 MiB.
   *
   * @example
   * await writeFile("fixtures/order.json", JSON.stringify(await skein.runs.export(id)));
   */
  async export(
    id: string,
    {
      logs = true,
      signal,
    }: {
      /** False leaves them out. Default true. */
      logs?: boolean | undefined;
      signal?: AbortSignal | undefined;
    } = {},
  ): Promise<RunExport> {
    const query = logs ? {} : { logs: "false" };
    return await this.#http.request("GET", `${runPath(id)}/export`, { query, signal });
  }

  /**
   * Why each of the run's tasks that is not over is not running: see `Client.why`. At most 100, in the
   * order of its tasks; none once the run is over. Throws `SkeinError` `run_not_found`.
   *
   * @example
   * for (const { step, sentence } of await skein.runs.why(id)) console.log(`${step}: ${sentence}`);
   */
  async why(id: string, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<Why[]> {
    return await this.#http.request("GET", `${runPath(id)}/why`, { signal });
  }

  /**
   * Cancels a run and the children that its handlers have started (but for detached ones). It is
   * final at once: nothing more begins, nothing is compensated, `onFailure` does not run; handlers
   * that run see their `ctx.signal` aborted. A run that has finished is left as it is: `cancelled`
   * is false then. Throws `SkeinError` `run_not_found`.
   *
   * @example
   * const { cancelled, state } = await skein.runs.cancel(id, { reason: "ordered by mistake" });
   */
  async cancel(id: string, { reason, signal }: CancelOptions = {}): Promise<CancelledRun> {
    const cancel: CancelRun = reason === undefined ? {} : { reason };
    const body = JSON.stringify(cancel);
    return await this.#http.request("POST", `${runPath(id)}/cancel`, { body, signal });
  }

  /**
   * Cancels every unfinished run that fits the filter, oldest first, and tells how many those were.
   *
   * @example
   * await skein.runs.cancelMany({ workflow: "order", metadata: { customer: "acme" } });
   */
  async cancelMany(
    filter: RunFilter<"queued" | "running">,
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<number> {
    const request = { body: JSON.stringify(wireFilter(filter)), signal };
    for (let count = 0; ;) {
      const answer = await this.#http.request<CancelledRuns>("POST", "/runs/cancel", request);
      count += answer.cancelled;
      if (!answer.hasMore) return count;
    }
  }

  /**
   * Runs a finished run again, as a new run whose `replayOf` is this one; the old one stays as it is.
   * Throws `SkeinError` `run_not_found`, `run_not_finished`, and `invalid_request` for a step that
   * the run doesn't have.
   *
   * @example
   * const again = await skein.runs.replay(id, { fromFailure: true });
   * const outputs = await again.result();
   */
  async replay(
    id: string,
    options: ReplayOptions = {},
  ): Promise<RunHandle<{ [step: string]: Json }>> {
    const { fromStep, input, signal } = options;
    const replay: ReplayRun = {
      ...(fromStep === undefined ? {} : { fromStep }),
      ...(input === undefined ? {} : { input: input as Json }),
      ...replayFields(options),
    };
    const body = encodeJson(replay, `The input of a replay of run ${id}`);
    const path = `${runPath(id)}/replay`;
    const started = await this.#http.request<StartedRun>("POST", path, { body, signal });
    return this.handle(started, (outputs) => outputs);
  }

  /**
   * Replays every finished run that fits the filter, oldest first; gives the new runs' ids with those
   * of the old ones. When a call fails, the runs of the calls before it have been replayed: with an
   * `idempotencyKey` of your own, call again.
   *
   * @example
   * const runs = await skein.runs.replayMany({ workflow: "order", state: "failed", since });
   */
  async replayMany(
    filter: RunFilter<"completed" | "failed" | "cancelled">,
    options: ReplayManyOptions = {},
  ): Promise<ReplayedRuns["runs"]> {
    const replay: ReplayRuns = { filter: wireFilter(filter), ...replayFields(options) };
    const runs: ReplayedRuns["runs"] = [];
    for (let cursor: string | null = null; ;) {
      const body = JSON.stringify({ ...replay, ...(cursor === null ? {} : { cursor }) });
      const { signal } = options;
      const answer: ReplayedRuns = await this.#http.request("POST", "/runs/replay", {
        body,
        signal,
      });
      runs.push(...answer.runs);
      cursor = answer.nextCursor;
      if (cursor === null) return runs;
    }
  }

  /** @internal The outputs of a run once it has completed; throws `RunFailedError` otherwise. */
  async outputs(id: string, options?: WaitOptions): Promise<{ [step: string]: Json }> {
    const { state, outputs, error } = await this.result(id, options);
    if (state !== "completed") throw new RunFailedError(id, state, error);
    return outputs;
  }

  /** @internal A run that was started, whose result is made of its outputs. */
  handle<Result>(
    { id, created }: StartedRun,
    resultOf: (outputs: { [step: string]: Json }) => Result,
  ): RunHandle<Result> {
    return {
      id,
      created,
      result: async (options) => resultOf(await this.outputs(id, options)),
      cancel: async (options) => await this.cancel(id, options),
    };
  }
}

function runPath(id: string): string {
  return `/runs/${encodeURIComponent(id)}`;
}

function wireFilter({ workflow, state, since, until, metadata, eventId }: RunFilter): WireFilter {
  const from = timeText(since);
  const to = timeText(until);
  return {
    ...(workflow === undefined ? {} : { workflow }),
    ...(state === undefined ? {} : { state }),
    ...(from === undefined ? {} : { since: from }),
    ...(to === undefined ? {} : { until: to }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(eventId === undefined ? {} : { eventId }),
  };
}

function replayFields({
  fromFailure,
  version,
  idempotencyKey,
}: ReplayManyOptions): Pick<ReplayRuns, "fromFailure" | "version" | "idempotencyKey"> {
  return {
    ...(fromFailure === undefined ? {} : { fromFailure }),
    ...(version === undefined ? {} : { version }),
    idempotencyKey: idempotencyKey ?? crypto.randomUUID(), // Kept for every try of the call.
  };
}

/** @internal */
export function timeText(time: Date | string | undefined): string | undefined {
  return time instanceof Date ? time.toISOString() : time;
}

function stillRunning({ id, state }: RunResult, timeoutMs: number): SkeinError {
  return new SkeinError({
    status: 0,
    code: "result_timeout",
    detail: `Run ${id} is still ${state} after ${timeoutMs} ms. It goes on: ask for its result again`,
  });
}
