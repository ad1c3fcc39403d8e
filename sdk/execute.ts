/**
 * Runs the handler of one attempt: finds it by action, checks the input, and turns whatever happens
 * into an outcome. It never throws, and knows nothing of sockets.
 */
import { AttemptContext } from "./context.ts";
import { DefinitionError } from "./errors.ts";
import type { Report } from "./report.ts";
import type { Attempt } from "./session/attempt.ts";
import type { Execute } from "./session/in-flight.ts";
import { type Outcome, outcomeOfOutput, outcomeOfThrown } from "./session/result.ts";
import type { ExecutableStep, Workflow } from "./workflow.ts";

/** What the worker needs of a workflow, whatever its types. */
export type AnyWorkflow = Pick<Workflow, "name" | "steps" | "definition"> & {
  validate(input: unknown): unknown;
};

interface Handler {
  workflow: AnyWorkflow;
  step: ExecutableStep;
}
export type Handlers = ReadonlyMap<string, Handler>;

/** Every step of these workflows by its action. Throws `DefinitionError` for two of one name. */
export function handlersOf(workflows: readonly AnyWorkflow[]): Handlers {
  const handlers = new Map<string, Handler>();
  for (const workflow of workflows) {
    for (const step of workflow.steps.values()) {
      const other = handlers.get(step.action);
      // The same workflow may come twice, as it is and with `returns()`.
      if (other !== undefined && other.step !== step) {
        throw new DefinitionError(
          `Two workflows named "${workflow.name}" have a step "${step.name}": rename one workflow`,
        );
      }
      handlers.set(step.action, { workflow, step });
    }
  }
  return handlers;
}

export function executor(handlers: Handlers, report: Report): Execute {
  return async (attempt) => {
    const outcome = await run(handlers, attempt);
    if (outcome.type === "failed" && !attempt.isAborted)
      report("error", failureLine(attempt, outcome));
    return outcome;
  };
}

async function run(handlers: Handlers, attempt: Attempt): Promise<Outcome> {
  const { action, input, step } = attempt.frame;
  try {
    const handler = handlers.get(action);
    if (handler === undefined) throw new Error(`This worker has no handler for action "${action}"`);
    const checked = handler.workflow.validate(input);
    const value = checked instanceof Promise ? ((await checked) as unknown) : checked;
    const returned = handler.step.run(new AttemptContext(attempt, value));
    return outcomeOfOutput(step, await returned);
  } catch (thrown) {
    return outcomeOfThrown(thrown);
  }
}

function failureLine({ frame }: Attempt, { error }: Outcome & { type: "failed" }): string {
  const which = `step "${frame.step}" of run ${frame.run} (attempt ${frame.attempt})`;
  return `${which} failed: ${error.name}: ${error.message}`;
}
