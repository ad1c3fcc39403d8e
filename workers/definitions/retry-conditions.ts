/**
 * Checks the expressions of a definition that say whether an attempt is tried again. Pure.
 */
import { compileExpression } from "../../expressions/compile.ts";
import { RETRY_CONDITION } from "../../expressions/retry-condition.ts";
import type { FieldError } from "../../protocol/errors.ts";
import type { ExecutionPolicy, WorkflowDefinition } from "../../protocol/http.ts";
import { expressionFinding } from "./expression-errors.ts";

/** Everything that is wrong with them, each with its place in the definition and in the expression. */
export function checkRetryConditions({ steps, onFailure }: WorkflowDefinition): FieldError[] {
  return [
    ...steps.flatMap(({ compensate, ...step }, number) => [
      ...check(step, `steps[${number}]`),
      ...check(compensate, `steps[${number}].compensate`),
    ]),
    ...check(onFailure, "onFailure"),
  ];
}

function check(policy: ExecutionPolicy | undefined, path: string): FieldError[] {
  if (policy?.retryIf === undefined) return [];
  const compiled = compileExpression(policy.retryIf, RETRY_CONDITION);
  return compiled.ok ? [] : [expressionFinding(`${path}.retryIf`, compiled.error)];
}
