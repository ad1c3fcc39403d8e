/**
 * What a step's handler is given: typed inputs, who it is, a signal and a log. These are types and
 * the object behind them; what an attempt's life looks like is `session/attempt.ts`.
 */
import type { Json, Metadata } from "../protocol/json.ts";
import type { Attempt } from "./session/attempt.ts";

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
  /** When this attempt's time is up, by this machine's clock. */
  readonly deadline: Date;
  readonly log: TaskLog;
}

/** The context behind the interface. Getters, so that a trivial handler pays for what it reads. */
export class AttemptContext implements TaskContext {
  readonly input: unknown;
  readonly #attempt: Attempt;

  constructor(attempt: Attempt, input: unknown) {
    this.#attempt = attempt;
    this.input = input;
  }

  get parents(): Record<string, unknown> {
    return this.#attempt.frame.parents;
  }
  get metadata(): Metadata {
    return this.#attempt.frame.metadata;
  }
  get runId(): string {
    return this.#attempt.frame.run;
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
    return new Date(this.#attempt.receivedAt + this.#attempt.frame.timeoutMs);
  }
  get log(): TaskLog {
    return this.#attempt.log;
  }
}
