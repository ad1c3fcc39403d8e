/**
 * Workflows as they are written: a name, a schema, steps and their parents. Everything that can be
 * seen to be wrong is refused here, where it is written, and never first by the server.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { StepDefinition, WorkflowDefinition } from "../protocol/http.ts";
import type { Json } from "../protocol/json.ts";
import { MAX_EVENT_KEYS, MAX_NAME_LENGTH, MAX_STEPS, MAX_TIMEOUT_MS } from "../protocol/limits.ts";
import type { TaskContext } from "./context.ts";
import { type Duration, durationMs } from "./duration.ts";
import { DefinitionError } from "./errors.ts";
import type { StepOutput } from "./json-types.ts";
import { validateInput } from "./schema.ts";

type AnySchema = StandardSchemaV1<unknown, unknown>;

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
}

/** A step, to be named as a parent or as the one whose output is the run's result. */
export interface StepHandle<Name extends string = string, Output = unknown> {
  readonly name: Name;
  /** The handler's name on the wire: `workflow:step`. */
  readonly action: string;
  /** Only for types; it is not there when the program runs. */
  readonly "~output"?: Output;
}

/** What a handler finds in `ctx.parents`: each parent's output under its name. */
export type ParentOutputs<Parents extends readonly StepHandle[]> = {
  readonly [Parent in Parents[number] as Parent["name"]]: OutputOf<Parent>;
};
type OutputOf<Step> = Step extends StepHandle<string, infer Output> ? Output : never;

export interface StepOptions<Input, Parents extends readonly StepHandle[], Returned> {
  /** Steps whose outputs this one needs; it runs once all have completed. Default none. */
  parents?: Parents | undefined;
  /** How long one attempt may take: milliseconds or `"30s"`, `"5m"`, `"1h"`. Default 1m, at most 1d. */
  timeout?: Duration | undefined;
  /**
   * The handler. What it returns must be JSON of at most 1 MiB; nothing at all becomes null. What
   * it throws fails the attempt. It may run more than once: see `ctx.fencingToken`.
   */
  run: (ctx: TaskContext<Input, ParentOutputs<Parents>>) => Returned;
}

/** A step as the worker executes it. */
export interface ExecutableStep extends StepHandle {
  readonly parents: readonly string[];
  readonly timeoutMs: number | undefined;
  // A method, so that a handler with a narrower context fits; the schema has made it true.
  run(ctx: TaskContext): unknown;
}

interface Shared {
  readonly name: string;
  readonly description: string | undefined;
  readonly events: readonly string[];
  readonly schema: StandardSchemaV1 | undefined;
  readonly steps: Map<string, ExecutableStep>;
}

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
  get steps(): ReadonlyMap<string, ExecutableStep> {
    return this.#shared.steps;
  }

  /**
   * Adds a step. The types of `ctx.input` and `ctx.parents` follow from the schema and `parents`.
   * Throws `DefinitionError` for a bad or repeated name, a parent of another workflow, a bad timeout.
   *
   * @example
   * const charge = order.step("charge", { run: async (ctx) => ({ receipt: await charge(ctx.input) }) });
   * const ship = order.step("ship", {
   *   parents: [charge],
   *   timeout: "5m",
   *   run: async (ctx) => ({ parcel: await ship(ctx.parents.charge.receipt) }),
   * });
   */
  step<const Name extends string, Returned, const Parents extends readonly StepHandle[] = []>(
    name: Name,
    options: StepOptions<Value, Parents, Returned>,
  ): StepHandle<Name, StepOutput<Awaited<Returned>>> {
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
    if (typeof options.run !== "function") {
      throw new DefinitionError(`${which} has no handler: give it as \`run\``);
    }
    const action = `${this.name}:${name}`;
    if (action.length > MAX_NAME_LENGTH) {
      throw new DefinitionError(
        `${which} has an action of ${action.length} characters (${action}): shorten a name, to at most ${MAX_NAME_LENGTH} together`,
      );
    }
    const step = {
      name,
      action,
      parents: this.#parentNames(which, options.parents ?? []),
      timeoutMs:
        options.timeout === undefined
          ? undefined
          : durationMs(options.timeout, `The timeout of ${lowerFirst(which)}`, MAX_TIMEOUT_MS),
      run: options.run,
    };
    // The narrower context is what `execute` will build: input from the schema, outputs from parents.
    steps.set(name, step as unknown as ExecutableStep);
    return step;
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
    const { name, description, events, steps } = this.#shared;
    if (steps.size === 0) {
      throw new DefinitionError(`Workflow "${name}" has no steps: add one with \`step()\``);
    }
    return {
      name,
      ...(description === undefined ? {} : { description }),
      ...(events.length === 0 ? {} : { events: [...events] }),
      steps: [...steps.values()].map(stepDefinition),
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
}

/**
 * Defines a workflow. It has no steps yet: add them with `.step()`.
 * Throws `DefinitionError` for a bad name or event key.
 *
 * @example
 * const order = workflow({
 *   name: "order",
 *   input: z.object({ id: z.string() }),
 *   on: { events: ["order:created"] },
 * });
 */
export function workflow<Schema extends StandardSchemaV1 = AnySchema>(
  options: WorkflowOptions<Schema>,
): Workflow<StandardSchemaV1.InferInput<Schema>, StandardSchemaV1.InferOutput<Schema>> {
  checkName(options.name, "A workflow");
  return new Workflow({
    name: options.name,
    description: options.description,
    events: checkedEvents(options.name, options.on?.events ?? []),
    schema: options.input,
    steps: new Map(),
  });
}

function stepDefinition(step: ExecutableStep): StepDefinition {
  return {
    name: step.name,
    ...(step.parents.length === 0 ? {} : { parents: [...step.parents] }),
    ...(step.timeoutMs === undefined ? {} : { timeoutMs: step.timeoutMs }),
  };
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

function checkName(name: string, what: string): void {
  if (name === "") throw new DefinitionError(`${what} has an empty name: give it one`);
  if (!NAME.test(name)) {
    throw new DefinitionError(
      `${what} is named ${JSON.stringify(name)}: begin with a letter or digit and use letters, digits, ".", "_" and "-" only`,
    );
  }
  if (name.length > MAX_NAME_LENGTH) {
    throw new DefinitionError(
      `${what} has a name of ${name.length} characters: use at most ${MAX_NAME_LENGTH}`,
    );
  }
}

/** One key, or all that begin alike: `user:*`. */
const EVENT_KEYS = /^(?:[^\s*]+\*?|\*)$/;

function checkedEvents(workflowName: string, keys: readonly string[]): readonly string[] {
  const events = [...new Set(keys)];
  if (events.length > MAX_EVENT_KEYS) {
    throw new DefinitionError(
      `Workflow "${workflowName}" listens to ${events.length} event keys: use at most ${MAX_EVENT_KEYS}`,
    );
  }
  const bad = events.find((key) => !EVENT_KEYS.test(key) || key.length > MAX_NAME_LENGTH);
  if (bad !== undefined) {
    throw new DefinitionError(
      `Workflow "${workflowName}" listens to the event key ${JSON.stringify(bad)}: use 1 to ${MAX_NAME_LENGTH} characters without spaces, and "*" only as the last`,
    );
  }
  return events;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
