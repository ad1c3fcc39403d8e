/**
 * Workflows as they are written: a name, a schema, steps and their parents. Everything that can be
 * seen to be wrong is refused here, where it is written, and never first by the server.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { FilterCondition } from "../protocol/event-bodies.ts";
import type { CancelOn, ExecutionPolicy, WorkflowDefinition } from "../protocol/http.ts";
import type { LimitUse } from "../protocol/limit-bodies.ts";
import type { Json } from "../protocol/json.ts";
import { MAX_RUN_TIMEOUT_MS, MAX_STEPS } from "../protocol/limits.ts";
import type { CronDefinition } from "../protocol/schedule-bodies.ts";
import type { Stickiness, Versioning } from "../protocol/states.ts";
import { type CancelOnOptions, checkedCancelOn } from "./cancel-on.ts";
import { type CronOptions, checkedCrons } from "./crons.ts";
import { type Duration, durationMs } from "./duration.ts";
import { DefinitionError } from "./errors.ts";
import type { StepOutput } from "./json-types.ts";
import { checkedFilters, type FilterOptions } from "./filters.ts";
import { checkedLimits, checkedPriority, type LimitOptions } from "./limits.ts";
import { checkedEvents, checkName } from "./names.ts";
import { executionPolicy } from "./policy.ts";
import { validateInput } from "./schema.ts";
import {
  type Handler,
  type OnFailureOptions,
  readHandler,
  type OutputUnless,
  readStep,
  type Step,
  type StepHandle,
  type StepOptions,
} from "./step.ts";
import type { WaitForOptions } from "./wait-for.ts";

type AnySchema = StandardSchemaV1<unknown, unknown>;

/** The step that sees to a failed run, and so a name that no step may have beside it. */
const ON_FAILURE = "on-failure";

export interface WorkflowOptions<Schema extends StandardSchemaV1 = AnySchema> {
  /** Letters, digits, `.`, `_` and `-`; at most 200. */
  name: string;
  /** For people; shown beside the name. */
  description?: string | undefined;
  /**
   * A schema of the input: zod, valibot, or any other Standard Schema. Checked when a run is
   * started and again by the worker, whose handlers get what it gives back. Default: any JSON.
   */
  input?: Schema | undefined;
  /** What starts a run by itself: keys of events, at most 100. Default none. */
  on?: { events?: readonly string[] | undefined } | undefined;
  /**
   * Conditions for those events: each that is met starts a run, none starts none. Beside those that are
   * stored with `client.filters`, at most 100. Default none: every event of its keys starts a run.
   */
  filters?: readonly FilterOptions[] | undefined;
  /** What cancels its runs by itself: events, at most 5, each under a condition. Default none. */
  cancelOn?: readonly CancelOnOptions[] | undefined;
  /**
   * What starts runs of it by the clock while this version is active, at most 20: in the zone's own time, as its
   * daylight saving time has it. Others are stored with `client.schedules`. Default none.
   *
   * @example
   * crons: [{ cron: "30 9 * * MON-FRI", timezone: "Europe/Berlin", overlap: "skip" }]
   */
  crons?: readonly CronOptions[] | undefined;
  /**
   * Limits that each of its runs is under, from its first task's start to the run's end, at most 5.
   * Default none.
   */
  limits?: readonly LimitOptions[] | undefined;
  /** Of its runs, where a start says nothing: 1 to 3, the most urgent. Default 2. */
  priority?: number | undefined;
  /**
   * Whether a run's later tasks go to the worker of its earlier ones, known by its `name`: `soft` if
   * it can take them, `hard` to no other. Default `none`.
   */
  sticky?: Stickiness | undefined;
  /**
   * Which workers execute its tasks. `compatible`, the default: all that have the step, those built with the
   * run's version first. `pinned`: those only, so keep them until its runs have ended.
   */
  versioning?: Versioning | undefined;
  /**
   * How long a run may take, from its start to its last step's end. What takes longer fails with
   * `run_timeout`, compensations and `onFailure` follow. Default for ever, at most 30d.
   */
  timeout?: Duration | undefined;
}

interface Shared {
  readonly name: string;
  readonly description: string | undefined;
  readonly events: readonly string[];
  readonly filters: readonly FilterCondition[];
  readonly cancelOn: readonly CancelOn[];
  readonly crons: readonly CronDefinition[];
  readonly limits: readonly LimitUse[];
  readonly priority: number | undefined;
  readonly sticky: Stickiness | undefined;
  readonly versioning: Versioning | undefined;
  readonly timeoutMs: number | undefined;
  readonly schema: StandardSchemaV1 | undefined;
  readonly steps: Map<string, Step>;
  readonly handlers: Map<string, Handler>;
  onFailure: ExecutionPolicy | undefined;
}

/** What an input is written as: left out where there is no schema, or one that accepts nothing. */
export type InputArguments<Input, Options> = undefined extends Input
  ? [input?: Input, options?: Options]
  : [input: Input, options?: Options];

/**
 * A workflow: made by `workflow()`, grown by `step()`, run by workers, started by clients.
 *
 * `Input` is what a client gives, `Value` what the schema makes of it for handlers, `Result` what
 * a finished run gives back.
 */
export class Workflow<Input = unknown, Value = Input, Result = Record<string, unknown>> {
  readonly #shared: Shared;
  readonly #returning: string | undefined;

  /** @internal Use `workflow()`. */
  constructor(shared: Shared, returning?: string) {
    this.#shared = shared;
    this.#returning = returning;
  }

  get name(): string {
    return this.#shared.name;
  }

  /** The steps in the order they were written, by name. */
  get steps(): ReadonlyMap<string, Step> {
    return this.#shared.steps;
  }

  /** @internal What a worker executes, by action. */
  get handlers(): ReadonlyMap<string, Handler> {
    return this.#shared.handlers;
  }

  /**
   * Adds a step. The types of `ctx.input` and `ctx.parents` follow from the schema and `parents`.
   * Throws `DefinitionError` for a bad or repeated name, a parent of another workflow, or an option
   * out of its bounds.
   *
   * @example
   * const charge = order.step("charge", {
   *   retries: 3,
   *   run: async (ctx) => await bank.charge(ctx.input.card, { token: ctx.fencingToken }),
   *   compensate: async (ctx, charge) => await bank.refund(charge.id),
   * });
   * const ship = order.step("ship", {
   *   parents: [charge],
   *   timeout: "5m",
   *   run: async (ctx) => ({ parcel: await ship(ctx.parents.charge.receipt) }),
   * });
   */
  step<
    const Name extends string,
    Returned,
    const Parents extends readonly StepHandle[] = [],
    SkipIf extends string | undefined = undefined,
    RunIf extends string | undefined = undefined,
    const Wait extends WaitForOptions | undefined = undefined,
  >(
    name: Name,
    options: StepOptions<Value, Parents, Returned, SkipIf, RunIf, Wait>,
  ): StepHandle<Name, OutputUnless<StepOutput<Awaited<Returned>>, SkipIf, RunIf, Wait>> {
    const { steps } = this.#shared;
    const which = `Step "${name}" of workflow "${this.name}"`;
    checkName(name, `A step of workflow "${this.name}"`);
    if (steps.has(name)) {
      throw new DefinitionError(`${which} is defined twice: give one of them another name`);
    }
    if (steps.size >= MAX_STEPS) {
      throw new DefinitionError(
        `${which} is one too many: a workflow has at most ${MAX_STEPS} steps`,
      );
    }
    if (name === ON_FAILURE && this.#shared.onFailure !== undefined) throw this.#nameTaken();
    const handle = { name, action: `${this.name}:${name}` };
    const parents = this.#parentNames(which, options.parents ?? []);
    const of = `step "${name}" of workflow "${this.name}"`;
    const { step, handlers } = readStep(handle, parents, options, of);
    steps.set(name, step);
    for (const handler of handlers) this.#shared.handlers.set(handler.action, handler);
    return step as StepHandle as StepHandle<
      Name,
      OutputUnless<StepOutput<Awaited<Returned>>, SkipIf, RunIf, Wait>
    >;
  }

  /**
   * Sees to a run that has failed, once its compensations have ended: tells somebody, cleans up. It
   * belongs to the run's history as the step `on-failure`, and can't make the run succeed. It does
   * not follow a cancellation. Throws `DefinitionError` for a second one, or an option out of its
   * bounds.
   *
   * @example
   * order.onFailure({
   *   retries: 5,
   *   run: async (ctx) => {
   *     for (const { step, error } of ctx.failures) await page(`${step ?? ctx.runId}: ${error.message}`);
   *   },
   * });
   */
  onFailure(options: OnFailureOptions<Value>): void {
    const of = `onFailure of workflow "${this.name}"`;
    if (this.#shared.onFailure !== undefined) {
      throw new DefinitionError(`There is a second ${of}: see to everything in one`);
    }
    if (this.#shared.steps.has(ON_FAILURE)) throw this.#nameTaken();
    const policy = executionPolicy(options, of);
    const handler = readHandler(`${this.name}:${ON_FAILURE}`, options.run, of);
    this.#shared.onFailure = policy;
    this.#shared.handlers.set(handler.action, handler);
  }

  /**
   * The same workflow, whose runs give back this step's output instead of all outputs by step name.
   *
   * @example
   * export const shipOrder = order.returns(ship);
   * const { parcel } = await skein.run(shipOrder, { id: "1" });
   */
  returns<Output>(step: StepHandle<string, Output>): Workflow<Input, Value, Output> {
    this.#checkOwn(step, `Workflow "${this.name}" can't return step "${step.name}"`);
    return new Workflow<Input, Value, Output>(this.#shared, step.name);
  }

  /** The definition as it is registered. Throws `DefinitionError` when there are no steps. */
  definition(): WorkflowDefinition {
    const { name, description, events, filters, cancelOn, crons, steps, timeoutMs, onFailure } =
      this.#shared;
    const { limits, priority, sticky, versioning } = this.#shared;
    if (steps.size === 0) {
      throw new DefinitionError(`Workflow "${name}" has no steps: add one with \`step()\``);
    }
    return {
      name,
      ...(description === undefined ? {} : { description }),
      ...(events.length === 0 ? {} : { events: [...events] }),
      ...(filters.length === 0 ? {} : { filters: [...filters] }),
      ...(cancelOn.length === 0 ? {} : { cancelOn: [...cancelOn] }),
      ...(crons.length === 0 ? {} : { crons: [...crons] }),
      steps: [...steps.values()].map(({ definition }) => definition),
      ...(limits.length === 0 ? {} : { limits: [...limits] }),
      ...(priority === undefined ? {} : { priority }),
      ...(sticky === undefined ? {} : { sticky }),
      ...(versioning === undefined ? {} : { versioning }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(onFailure === undefined ? {} : { onFailure }),
    };
  }

  /**
   * What the schema makes of an input (a promise where the schema is asynchronous). Throws
   * `InvalidInputError` when it refuses.
   */
  validate(input: Input): unknown {
    return validateInput(this.name, this.#shared.schema, input);
  }

  /** A completed run's result out of its steps' outputs. */
  resultOf(outputs: { [step: string]: Json }): Result {
    if (this.#returning === undefined) return outputs as Result;
    return (outputs[this.#returning] ?? null) as Result;
  }

  #parentNames(which: string, parents: readonly StepHandle[]): string[] {
    const names = parents.map((parent) => {
      this.#checkOwn(parent, `${which} can't have "${parent.name}" as its parent`);
      return parent.name;
    });
    const repeated = names.find((name, index) => names.indexOf(name) !== index);
    if (repeated !== undefined) {
      throw new DefinitionError(`${which} names its parent "${repeated}" twice: name it once`);
    }
    return names;
  }

  #checkOwn(step: StepHandle, refusal: string): void {
    // By identity: a step of the same name in another workflow is another step.
    if ((this.#shared.steps.get(step.name) as StepHandle | undefined) === step) return;
    throw new DefinitionError(`${refusal}: it is a step of another workflow (${step.action})`);
  }

  #nameTaken(): DefinitionError {
    return new DefinitionError(
      `Workflow "${this.name}" has onFailure and a step "${ON_FAILURE}": rename the step`,
    );
  }
}

/**
 * Defines a workflow. It has no steps yet: add them with `.step()`.
 * Throws `DefinitionError` for a bad name, event key, condition or timeout.
 *
 * @example
 * const order = workflow({
 *   name: "order",
 *   input: z.object({ id: z.string() }),
 *   on: { events: ["order:created"] },
 *   cancelOn: [{ event: "order:cancelled", if: "event.payload.id == input.id" }],
 * });
 */
export function workflow<Schema extends StandardSchemaV1 = AnySchema>(
  options: WorkflowOptions<Schema>,
): Workflow<StandardSchemaV1.InferInput<Schema>, StandardSchemaV1.InferOutput<Schema>> {
  const { name, description, on, filters, cancelOn, crons, limits, priority, sticky } = options;
  const { input, timeout } = options;
  const of = `workflow "${name}"`;
  checkName(name, "A workflow");
  return new Workflow({
    name,
    description,
    events: checkedEvents(name, on?.events ?? []),
    filters: checkedFilters(name, filters ?? [], (on?.events ?? []).length > 0),
    cancelOn: checkedCancelOn(name, cancelOn ?? []),
    crons: checkedCrons(name, crons ?? []),
    limits: checkedLimits(limits ?? [], of),
    priority: priority === undefined ? undefined : checkedPriority(priority, of),
    sticky,
    versioning: options.versioning,
    timeoutMs:
      timeout === undefined
        ? undefined
        : durationMs(timeout, `The timeout of workflow "${name}"`, {
            maximumMs: MAX_RUN_TIMEOUT_MS,
          }),
    schema: input,
    steps: new Map(),
    handlers: new Map(),
    onFailure: undefined,
  });
}
