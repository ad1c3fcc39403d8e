/**
 * Steps as they are written, and what a worker executes of them. Types, and the reading of one step's
 * options; `workflow.ts` keeps them together.
 */
import type { StepDefinition } from "../protocol/http.ts";
import { MAX_SCHEDULE_TIMEOUT_MS } from "../protocol/limits.ts";
import { checkedConditions, type ConditionOptions } from "./conditions.ts";
import type { FailureContext, TaskContext } from "./context.ts";
import { type Duration, durationMs } from "./duration.ts";
import { DefinitionError } from "./errors.ts";
import type { StepOutput } from "./json-types.ts";
import { checkedLabelRequests, type LabelOptions } from "./labels.ts";
import { checkedLimits, checkedStepSlots, type LimitOptions } from "./limits.ts";
import { checkAction } from "./names.ts";
import { type ExecutionOptions, executionPolicy } from "./policy.ts";
import type { WaitForOptions } from "./wait-for.ts";

/** A step, to be named as a parent or as the one whose output is the run's result. */
export interface StepHandle<Name extends string = string, Output = unknown> {
  readonly name: Name;
  /** The handler's name on the wire: `workflow:step`. */
  readonly action: string;
  /** Only for types; it is not there when the program runs. */
  readonly "~output"?: Output;
}

/** What a step gives: nothing when it is skipped, if there is anything that may skip it. */
export type OutputUnless<
  Output,
  SkipIf extends string | undefined,
  RunIf extends string | undefined,
  Wait,
> = [SkipIf, RunIf] extends [undefined, undefined]
  ? Wait extends { onTimeout: "skip" }
    ? Output | undefined
    : Output
  : Output | undefined;

/** What a handler finds in `ctx.parents`: each parent's output under its name. */
export type ParentOutputs<Parents extends readonly StepHandle[]> = {
  readonly [Parent in Parents[number] as Parent["name"]]: OutputOf<Parent>;
};
type OutputOf<Step> = Step extends StepHandle<string, infer Output> ? Output : never;

export interface StepOptions<
  Input,
  Parents extends readonly StepHandle[],
  Returned,
  SkipIf extends string | undefined = string | undefined,
  RunIf extends string | undefined = string | undefined,
  Wait extends WaitForOptions | undefined = WaitForOptions | undefined,
>
  extends ExecutionOptions, ConditionOptions<SkipIf, RunIf, Wait> {
  /** Steps whose outputs this one needs; it runs once all have ended well. Default none. */
  parents?: Parents | undefined;
  /**
   * How long it may be queued, each time it is, before it fails with `schedule_timeout`: for work
   * that is worth nothing when it comes late. It is not retried then. Default for ever, at most 30d.
   */
  scheduleTimeout?: Duration | undefined;
  /** Limits that each of its attempts is under, at most 5. Default none. */
  limits?: readonly LimitOptions[] | undefined;
  /** Slots that an attempt takes on its worker: more for what needs much of it. Default 1. */
  slots?: number | undefined;
  /**
   * What it asks of its worker's `labels`: a value that must be the worker's, or a comparison that
   * must be met (`isRequired`) or is preferred. Default nothing.
   *
   * @example
   * labels: { model: "llama", memory: { comparator: ">=", value: 16, isRequired: true } }
   */
  labels?: LabelOptions | undefined;
  /**
   * The handler. What it returns must be JSON of at most 1 MiB; nothing at all becomes null. What
   * it throws fails the attempt. It may run more than once: see `ctx.fencingToken`.
   */
  run: (ctx: TaskContext<Input, ParentOutputs<Parents>>) => Returned;
  /**
   * Undoes the step when its run fails after it has completed. Such steps are undone one at a time,
   * the last that completed first; one that can't be undone does not stop the others. A cancelled
   * run is not undone. Write it below `run`, which its types follow from.
   *
   * @example
   * run: async (ctx) => await bank.charge(ctx.input.card),
   * compensate: async (ctx, charge) => await bank.refund(charge.id),
   */
  compensate?:
    | Compensate<Input, Parents, StepOutput<Awaited<NoInfer<Returned>>>>
    | CompensateOptions<Input, Parents, StepOutput<Awaited<NoInfer<Returned>>>>
    | undefined;
}

/** Undoes a step: it is given the step's own output, and in `ctx.parents` its parents' outputs. */
export type Compensate<Input, Parents extends readonly StepHandle[], Output> = (
  ctx: TaskContext<Input, ParentOutputs<Parents>>,
  output: Output,
) => unknown;

/** A compensation with a timeout or retries of its own. */
export interface CompensateOptions<
  Input,
  Parents extends readonly StepHandle[],
  Output,
> extends ExecutionOptions {
  run: Compensate<Input, Parents, Output>;
}

/** What sees to a run that has failed, once its compensations have ended. */
export interface OnFailureOptions<Input> extends ExecutionOptions {
  /**
   * The handler; `ctx.failures` says what failed. It can't make the run succeed. It needs an input
   * that the workflow's schema accepts, as every handler does.
   */
  run: (ctx: FailureContext<Input>) => unknown;
}

/** A step as its workflow keeps it. */
export interface Step extends StepHandle {
  readonly definition: StepDefinition;
}

/** What executes an action: a step's handler, what undoes it, or what sees to a failed run. */
export interface Handler {
  readonly action: string;
  /** The step that it undoes, whose output it is given. */
  readonly undoes?: string;
  // A method, so that a handler with a narrower context fits; the schema has made it true.
  run(ctx: FailureContext, output?: unknown): unknown;
}

/** The step as it is registered, and what executes it. `of` names it in a `DefinitionError`. */
export function readStep<Input, Parents extends readonly StepHandle[], Returned>(
  { name, action }: StepHandle,
  parents: readonly string[],
  options: StepOptions<Input, Parents, Returned>,
  of: string,
): { step: Step; handlers: Handler[] } {
  const { scheduleTimeout, limits = [], slots, labels, run, compensate } = options;
  const undoing = typeof compensate === "function" ? { run: compensate } : compensate;
  const bounds = { maximumMs: MAX_SCHEDULE_TIMEOUT_MS };
  const definition: StepDefinition = {
    name,
    ...(parents.length === 0 ? {} : { parents: [...parents] }),
    ...executionPolicy(options, of),
    ...checkedConditions(options, of),
    ...(scheduleTimeout === undefined
      ? {}
      : {
          scheduleTimeoutMs: durationMs(scheduleTimeout, `The scheduleTimeout of ${of}`, bounds),
        }),
    ...(limits.length === 0 ? {} : { limits: checkedLimits(limits, of) }),
    ...(slots === undefined ? {} : { slots: checkedStepSlots(slots, of) }),
    ...(labels === undefined ? {} : { labels: checkedLabelRequests(labels, of) }),
    ...(undoing === undefined
      ? {}
      : { compensate: executionPolicy(undoing, `the compensation of ${of}`) }),
  };
  const handlers = [readHandler(action, run, of)];
  if (undoing !== undefined) {
    const compensation = `${action}:compensate`;
    const handler = readHandler(compensation, undoing.run, `the compensation of ${of}`);
    handlers.push({ ...handler, undoes: name });
  }
  return { step: { name, action, definition }, handlers };
}

/** A handler with its action. The narrower context that it takes is what the worker builds. */
export function readHandler(action: string, run: unknown, of: string): Handler {
  checkAction(action, of);
  if (typeof run === "function") return { action, run: run as Handler["run"] };
  throw new DefinitionError(`There is no handler for ${of}: give it as \`run\``);
}
