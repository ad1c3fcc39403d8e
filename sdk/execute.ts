/**
 * Runs the handler of one attempt: finds it by action, checks the input, and turns whatever happens
 * into an outcome. It never throws, and knows nothing of sockets.
 */
import { AttemptContext } from "./context.ts";
import { DefinitionError } from "./errors.ts";
import type { Report } from "./report.ts";
import type { Runs } from "./runs.ts";
import type { Attempt } from "./session/attempt.ts";
import type { Execute } from "./session/in-flight.ts";
import { type Outcome, outcomeOfOutput, outcomeOfThrown } from "./session/result.ts";
import type { Handler } from "./step.ts";
import type { Workflow } from "./workflow.ts";

/** What the worker needs of a workflow, whatever its types. */
export type AnyWorkflow = Pick<Workflow, "name" | "handlers" | "definition"> & {
  validate(input: unknown): unknown;
};

export type Handlers = ReadonlyMap<string, { workflow: AnyWorkflow; handler: Handler }>;

/** Every handler of these workflows by its action. Throws `DefinitionError` for two of one name. */
export function handlersOf(workflows: readonly AnyWorkflow[]): Handlers {
  const handlers: Map<string, { workflow: AnyWorkflow; handler: Handler }> = new Map();
  for (const workflow of workflows) {
    for (const [action, handler] of workflow.handlers) {
      const other = handlers.get(action);
      // The same workflow may come twice, as it is and with `returns()`.
      if (other !== undefined && other.handler !== handler) {
        throw new DefinitionError(
          `Two workflows named "${workflow.name}" have a handler for "${action}": rename one workflow`,
        );
      }
      handlers.set(action, { workflow, handler });
    }
  }
  return handlers;
}

/** `runs` fetches results of children that are too large to be pushed. */
export function executor(handlers: Handlers, runs: Runs, report: Report): Execute {
  return async (attempt) => {
    const outcome = await run(handlers, runs, attempt);
    if (outcome.type === "failed" && !attempt.isAborted)
      report("error", failureLine(attempt, outcome));
    return outcome;
  };
}

async function run(handlers: Handlers, runs: Runs, attempt: Attempt): Promise<Outcome> {
  const { action, input, step, parents } = attempt.frame;
  try {
    const found = handlers.get(action);
    if (found === undefined) throw new Error(`This worker has no handler for action "${action}"`);
    const { workflow, handler } = found;
    const checked = workflow.validate(input);
    const value = checked instanceof Promise ? ((await checked) as unknown) : checked;
    if (handler.undoes === undefined) {
      const returned = handler.run(new AttemptContext(attempt, value, parents, runs));
      return outcomeOfOutput(step, await returned);
    }
    // The step that it undoes comes with its parents, in one object.
    const { [handler.undoes]: output, ...others } = parents;
    const returned = handler.run(new AttemptContext(attempt, value, others, runs), output);
    return outcomeOfOutput(step, await returned);
  } catch (thrown) {
    return outcomeOfThrown(thrown);
  }
}

function failureLine({ frame }: Attempt, { error }: Outcome & { type: "failed" }): string {
  const which = `step "${frame.step}" of run ${frame.run} (attempt ${frame.attempt})`;
  return `${which} failed: ${error.name}: ${error.message}`;
}
