/**
 * The events that cancel a workflow's runs: checks their conditions, and finds by which equality with
 * the event each run can be found. Pure.
 */
import type { CancelOnRow } from "../../database/definition-rows.ts";
import { CANCEL_CONDITION, equalityWithEvent } from "../../expressions/cancel-condition.ts";
import { compileExpression } from "../../expressions/compile.ts";
import type { FieldError } from "../../protocol/errors.ts";
import type { WorkflowDefinition } from "../../protocol/http.ts";
import { expressionFinding } from "./expression-errors.ts";

/** Of all runs that wait for the event's key: it needs no equality. */
const ANY = { eventPath: [], runPath: [] };

export interface CancelOn {
  rows: CancelOnRow[];
  /** Everything that is wrong with the conditions. */
  findings: FieldError[];
}

export function buildCancelOn({ cancelOn = [] }: WorkflowDefinition): CancelOn {
  const built: CancelOn = { rows: [], findings: [] };
  for (const [index, { event, if: condition = "true" }] of cancelOn.entries()) {
    const compiled = compileExpression(condition, CANCEL_CONDITION);
    if (compiled.ok) {
      const equality = equalityWithEvent(compiled.expression) ?? ANY;
      built.rows.push({ number: index + 1, event, if: condition, ...equality });
    } else {
      built.findings.push(expressionFinding(`cancelOn[${index}].if`, compiled.error));
    }
  }
  return built;
}
