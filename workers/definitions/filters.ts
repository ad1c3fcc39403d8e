/**
 * Filters as they are stored: checked, and with the equalities by which they are found. Pure.
 */
import type { DeclaredFilterRow } from "../../database/definition-rows.ts";
import { compileExpression } from "../../expressions/compile.ts";
import { FILTER_CONDITION } from "../../expressions/filter-condition.ts";
import type { FieldError } from "../../protocol/errors.ts";
import type { FilterCondition } from "../../protocol/event-bodies.ts";
import type { WorkflowDefinition } from "../../protocol/http.ts";
import { newId } from "../../protocol/ids.ts";
import { expressionFinding } from "./expression-errors.ts";

/** A filter's row, or what is wrong with its expression, which stands at `path` of the body. */
export function buildFilter(
  { scope, expression, payload = null }: FilterCondition,
  path: string,
): DeclaredFilterRow | FieldError {
  const compiled = compileExpression(expression, FILTER_CONDITION);
  if (!compiled.ok) return expressionFinding(path, compiled.error);
  const equalities = compiled.expression.equalityClauses();
  return { id: newId(), ...(scope !== undefined && { scope }), expression, payload, equalities };
}

export function isFinding(built: DeclaredFilterRow | FieldError): built is FieldError {
  return "path" in built;
}

/** Those that a workflow declares, and everything that is wrong with them. */
export function buildDeclared({ filters = [] }: WorkflowDefinition): {
  rows: DeclaredFilterRow[];
  findings: FieldError[];
} {
  const declared: ReturnType<typeof buildDeclared> = { rows: [], findings: [] };
  for (const [index, filter] of filters.entries()) {
    const built = buildFilter(filter, `filters[${index}].expression`);
    if (isFinding(built)) declared.findings.push(built);
    else declared.rows.push(built);
  }
  return declared;
}
