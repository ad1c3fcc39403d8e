/**
 * What a step's tasks pass before they are queued: checks its conditions, and makes what a shard judges
 * them by. Pure.
 */
import type { GateRow } from "../../database/definition-rows.ts";
import { compileExpression, type Signature } from "../../expressions/compile.ts";
import type { ExpressionError } from "../../expressions/errors.ts";
import type { Expression } from "../../expressions/expression.ts";
import { namingParents, STEP_CONDITION } from "../../expressions/step-condition.ts";
import type { FieldError } from "../../protocol/errors.ts";
import type { StepDefinition } from "../../protocol/http.ts";
import { expressionFinding } from "./expression-errors.ts";

const CONDITIONS = ["skipIf", "runIf", "cancelIf"] as const;

export interface Gate {
  /** Undefined: there is nothing to pass. */
  row: GateRow | undefined;
  findings: FieldError[];
}

/** @param path Of the step in its definition. */
export function buildGate(step: StepDefinition, path: string): Gate {
  const findings: FieldError[] = [];
  const row: GateRow = {};
  for (const name of CONDITIONS) {
    const source = step[name];
    if (source === undefined) continue;
    row[name] = source;
    const checked = compileOfStep(source, STEP_CONDITION, step.parents ?? []);
    if (!checked.ok) findings.push(expressionFinding(`${path}.${name}`, checked.error));
  }
  return { row: Object.keys(row).length > 0 ? row : undefined, findings };
}

/** As it will be evaluated, and naming no parent that the step has not. */
function compileOfStep(
  source: string,
  signature: Signature<"bool">,
  parents: readonly string[],
): { ok: true; expression: Expression<"bool"> } | { ok: false; error: ExpressionError } {
  const compiled = compileExpression(source, signature);
  if (!compiled.ok) return compiled;
  const variables = namingParents(signature.variables, parents);
  const named = compileExpression(source, { variables, result: signature.result });
  // Whatever else it finds is due to the names being fixed, as in `"pay" in parents`.
  if (named.ok || named.error.code !== "unknown_variable") return compiled;
  const which = parents.length === 0 ? "none" : parents.map((name) => `"${name}"`).join(", ");
  const message = `${named.error.message} Parents of the step: ${which}.`;
  return { ok: false, error: { ...named.error, message } };
}
