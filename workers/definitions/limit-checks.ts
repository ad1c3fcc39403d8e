/**
 * Checks the expressions of limits: keys, units and weights, of workflows, of steps and of stored limits.
 * Pure.
 */
import { compileExpression, type Signature } from "../../expressions/compile.ts";
import { AMOUNT, KEY, RUN_AMOUNT, RUN_KEY } from "../../expressions/limit-expressions.ts";
import type { FieldError } from "../../protocol/errors.ts";
import type { WorkflowDefinition } from "../../protocol/http.ts";
import type { LimitUse, PutLimit } from "../../protocol/limit-bodies.ts";
import { expressionFinding } from "./expression-errors.ts";

/** By whether there may be outputs of parents. */
const OF_RUN = { key: RUN_KEY, amount: RUN_AMOUNT };
const OF_TASK = { key: KEY, amount: AMOUNT };

/** Everything that is wrong with them, each with its place in the definition and in the expression. */
export function checkLimitUses({ limits = [], steps }: WorkflowDefinition): FieldError[] {
  return [
    ...limits.flatMap((use, index) => check(use, `limits[${index}].`, OF_RUN)),
    ...steps.flatMap((step, number) =>
      (step.limits ?? []).flatMap((use, index) =>
        check(use, `steps[${number}].limits[${index}].`, OF_TASK),
      ),
    ),
  ];
}

export function checkStoredLimit(limit: PutLimit): FieldError[] {
  return check(limit, "", OF_TASK);
}

function check(
  { key, units, weight }: Pick<LimitUse, "key" | "units" | "weight">,
  path: string,
  signatures: typeof OF_RUN | typeof OF_TASK,
): FieldError[] {
  return [
    ...checkOne(key, `${path}key`, signatures.key),
    ...checkOne(units, `${path}units`, signatures.amount),
    ...checkOne(weight, `${path}weight`, signatures.amount),
  ];
}

function checkOne(
  source: string | number | undefined,
  path: string,
  signature: Signature,
): FieldError[] {
  if (typeof source !== "string") return [];
  const compiled = compileExpression(source, signature);
  return compiled.ok ? [] : [expressionFinding(path, compiled.error)];
}
