/**
 * What a step's handler is given: typed inputs, who it is, a signal and a log. These are types and
 * the object behind them; what an attempt's life looks like is `session/attempt.ts`.
 */
import type { Json, Metadata } from "../protocol/json.ts";
import { MAX_RATE_PAUSE_MS, MAX_RATE_UNITS, MAX_TIMEOUT_MS } from "../protocol/limits.ts";
import type { StartingFilter } from "../protocol/event-bodies.ts";
import type { StepFailure } from "../protocol/session.ts";
import type { Waited } from "../protocol/wait-bodies.ts";
import {
  type ChildRun,
  quiet,
  spawnChildren,
  type SpawnItem,
  type SpawnOptions,
} from "./child-run.ts";
import { type Duration, durationMs, readDuration } from "./duration.ts";
import { DefinitionError, RateLimitedError } from "./errors.ts";
import type { Runs } from "./runs.ts";
import type { Attempt } from "./session/attempt.ts";
import type { InputArguments, Workflow } from "./workflow.ts";

/** Fields of a log line: JSON. */
export type LogFields = { [key: string]: Json };

/**
 * Writes lines that are kept with the task and shown with its run. A line is at most 16 KiB
 * (longer ones are cut), an attempt has at most 1,000 lines (more are dropped, and the last says
 * so). Lines are not acknowledged: a worker that dies may lose the newest.
 */
export interface TaskLog {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/**
 * One attempt of one step, as its handler sees it.
 *
 * @example
 * run: async (ctx) => {
 *   ctx.log.info("charging", { order: ctx.input.id });
 *   return await bank.charge(ctx.input.id, { token: ctx.fencingToken, signal: ctx.signal });
 * }
 */
export interface TaskContext<Input = unknown, Parents = Record<string, unknown>> {
  /** The run's input, as the workflow's schema gives it back. */
  readonly input: Input;
  /** Outputs of this step's parents, by step name. */
  readonly parents: Parents;
  /** The run's labels. */
  readonly metadata: Metadata;
  /** The filter by which an event started the run, with its payload as it was then; else null. */
  readonly filter: StartingFilter | null;
  /** The schedule that started the run; else null. */
  readonly scheduleId: string | null;
  /** The tick of its schedule that the run was started for; else null. */
  readonly scheduledFor: Date | null;
  readonly runId: string;
  readonly taskId: string;
  /** The workflow's name. */
  readonly workflow: string;
  /** The number of the workflow's version that this run is bound to, from 1. */
  readonly version: number;
  readonly step: string;
  /** Which try of the task this is, from 1; it rises strictly. */
  readonly attempt: number;
  /** The same number: give it to what you write to, so that an older attempt's write is refused. */
  readonly fencingToken: number;
  /**
   * Aborted when the work is no longer wanted: cancelled, out of time, or given to another worker.
   * Its reason is a `TaskAbortedError` with a `code`.
   */
  readonly signal: AbortSignal;
  /** When this attempt's time is up, by this machine's clock. It moves with `extendTimeout`. */
  readonly deadline: Date;
  readonly log: TaskLog;
  /**
   * What its step's `waitFor` has brought: which conditions, and of events the payload. Undefined where
   * there is none. It is the same for every attempt.
   *
   * @example
   * const paid = ctx.waited?.met.find(({ event }) => event?.key === "order:paid")?.event;
   */
  readonly waited: Waited | undefined;
  /**
   * Asks for more time: the attempt's timeout is so long from now on, whatever was left of it. At
   * most 1d. Resolves once it is granted; rejects with what `signal` was aborted with when the
   * attempt is over first. Call it while the work makes progress, so that work that hangs still ends.
   *
   * @example
   * for (const page of pages) {
   *   await ctx.extendTimeout("1m");
   *   await convert(page, { signal: ctx.signal });
   * }
   */
  extendTimeout(timeout: Duration): Promise<void>;
  /**
   * Says what the attempt has really taken of a rate limit, in place of the units that were reserved for
   * it: the rest is for others at once, and what was too much is owed. Once a limit, while the handler
   * runs; without it the whole reserve is taken. `limit` is a stored limit's name; one that is written in
   * the step is named `WORKFLOW:STEP#1`, counted from 1. One of
   * the workflow is paid by the run's first attempt: to later ones nothing is reserved, and what they say adds.
   *
   * Throws `DefinitionError` for a limit that this attempt is not under, a number below 0 or over
   * 10¹², or a second settlement; and what `signal` was aborted with when the attempt is over.
   *
   * @example
   * const answer = await openai.chat(ctx.input, { signal: ctx.signal });
   * ctx.settle("openai-tokens", answer.usage.total_tokens);
   */
  settle(limit: string, used: number): void;
  /**
   * Ends the attempt because its provider has said "not now": the limit's key (without a name: of every
   * rate limit of the step) gives nothing for so long, to any worker, and the task is put back without
   * spending a retry. Where there is no such limit only the task waits. A negative time is 0, and one
   * over 1d is 1d. Throws `DefinitionError` for a limit that this attempt is not under, or a time that
   * can't be read.
   *
   * @example
   * if (answer.status === 429) ctx.rateLimited("openai-tokens", { retryAfter: "20s" });
   */
  rateLimited(limit: string, options: { retryAfter: Duration }): never;
  rateLimited(options: { retryAfter: Duration }): never;
  /**
   * Starts a run that belongs to this one: it is cancelled with it, and a later attempt of this task
   * gets the same run by its `key`. Resolves once the run happens, whatever dies.
   *
   * Throws `InvalidInputError` when the child's schema refuses the input, `DefinitionError` for a
   * key that was used in this attempt, and `SkeinError` with code `workflow_not_found` or
   * `workflow_paused` when Skein refuses.
   *
   * @example
   * const shipping = await ctx.spawn(shipOrder, { id: "1" }, { key: "shipping" });
   * const { parcel } = await shipping.result();
   */
  spawn<ChildInput, Value, Result>(
    workflow: Workflow<ChildInput, Value, Result>,
    ...[input, options]: InputArguments<ChildInput, SpawnOptions>
  ): Promise<ChildRun<Result>>;
  /**
   * Starts any number of runs, as `spawn` does one. The children are in the order of the items. When
   * one is refused it throws, and others may have been started: the same keys find them again.
   *
   * @example
   * const children = await ctx.spawnMany(resize, images.map((input) => ({ input, key: input.name })));
   * const sizes = await Promise.all(children.map((child) => child.result()));
   */
  spawnMany<ChildInput, Value, Result>(
    workflow: Workflow<ChildInput, Value, Result>,
    items: readonly SpawnItem<ChildInput>[],
  ): Promise<ChildRun<Result>[]>;
}

/** What a workflow's `onFailure` handler is given. */
export interface FailureContext<Input = unknown> extends TaskContext<Input, {}> {
  /** What failed, compensations included; the run itself (out of time) as `step: null`. */
  readonly failures: readonly StepFailure[];
}

/** The context behind the interface. Getters, so that a trivial handler pays for what it reads. */
export class AttemptContext implements FailureContext {
  readonly input: unknown;
  readonly parents: { readonly [step: string]: unknown };
  readonly #attempt: Attempt;
  readonly #runs: Runs;

  constructor(attempt: Attempt, input: unknown, parents: { [step: string]: Json }, runs: Runs) {
    this.#attempt = attempt;
    this.#runs = runs;
    this.input = input;
    this.parents = parents;
  }

  get metadata(): Metadata {
    return this.#attempt.frame.metadata;
  }
  get runId(): string {
    return this.#attempt.frame.run;
  }
  get filter(): StartingFilter | null {
    return this.#attempt.frame.filter ?? null;
  }
  get scheduleId(): string | null {
    return this.#attempt.frame.schedule?.id ?? null;
  }
  get scheduledFor(): Date | null {
    const tick = this.#attempt.frame.schedule?.tick ?? null;
    return tick === null ? null : new Date(tick);
  }
  get taskId(): string {
    return this.#attempt.frame.task;
  }
  get workflow(): string {
    return this.#attempt.frame.workflow;
  }
  get version(): number {
    return this.#attempt.frame.version;
  }
  get step(): string {
    return this.#attempt.frame.step;
  }
  get attempt(): number {
    return this.#attempt.frame.attempt;
  }
  get fencingToken(): number {
    return this.#attempt.frame.attempt;
  }
  get signal(): AbortSignal {
    return this.#attempt.signal;
  }
  get deadline(): Date {
    return this.#attempt.deadline.at;
  }
  get log(): TaskLog {
    return this.#attempt.log;
  }
  get waited(): Waited | undefined {
    return this.#attempt.frame.waited;
  }
  get failures(): readonly StepFailure[] {
    return this.#attempt.frame.failures ?? [];
  }

  extendTimeout(timeout: Duration): Promise<void> {
    return quiet(this.#extendTimeout(timeout));
  }

  settle(limit: string, used: number): void {
    this.#checkLimit(limit);
    if (!(used >= 0 && used <= MAX_RATE_UNITS)) {
      throw new DefinitionError(
        `Step "${this.step}" settles ${used} units of "${limit}": give a number from 0 to ${MAX_RATE_UNITS}`,
      );
    }
    this.#attempt.throwIfOver();
    this.#attempt.settle(limit, used);
  }

  rateLimited(
    ...said:
      | [limit: string, options: { retryAfter: Duration }]
      | [options: { retryAfter: Duration }]
  ): never {
    const [limit, { retryAfter }] = said.length === 2 ? said : [undefined, ...said];
    if (limit !== undefined) this.#checkLimit(limit);
    const waitMs = readDuration(retryAfter);
    if (Number.isNaN(waitMs)) {
      throw new DefinitionError(
        `The retryAfter of step "${this.step}" is "${retryAfter}": give milliseconds, or a text such as "30s" or "5m"`,
      );
    }
    // The number is the provider's: one that is out of bounds must not cost the task.
    throw new RateLimitedError(limit, Math.ceil(Math.min(MAX_RATE_PAUSE_MS, Math.max(0, waitMs))));
  }

  spawn<ChildInput, Value, Result>(
    workflow: Workflow<ChildInput, Value, Result>,
    ...[input, options]: InputArguments<ChildInput, SpawnOptions>
  ): Promise<ChildRun<Result>> {
    return quiet(this.#spawn(workflow, { ...options, input: input as ChildInput }));
  }

  spawnMany<ChildInput, Value, Result>(
    workflow: Workflow<ChildInput, Value, Result>,
    items: readonly SpawnItem<ChildInput>[],
  ): Promise<ChildRun<Result>[]> {
    return quiet(spawnChildren(this.#attempt, this.#runs, workflow, items));
  }

  #checkLimit(limit: string): void {
    const limits = (this.#attempt.frame.limits ?? []).map(({ limit: name }) => name);
    if (limits.includes(limit)) return;
    const which = limits.length === 0 ? "none" : limits.map((name) => `"${name}"`).join(", ");
    throw new DefinitionError(
      `Step "${this.step}" is not under a rate limit "${limit}": there is ${which}`,
    );
  }

  async #extendTimeout(timeout: Duration): Promise<void> {
    const what = `The timeout that step "${this.step}" asks for`;
    const timeoutMs = durationMs(timeout, what, { maximumMs: MAX_TIMEOUT_MS });
    this.#attempt.throwIfOver();
    await this.#attempt.deadline.extend(timeoutMs);
  }

  async #spawn<ChildInput, Value, Result>(
    workflow: Workflow<ChildInput, Value, Result>,
    item: SpawnItem<ChildInput>,
  ): Promise<ChildRun<Result>> {
    const [child] = await spawnChildren(this.#attempt, this.#runs, workflow, [item]);
    return child as ChildRun<Result>; // As many come as were asked for.
  }
}
