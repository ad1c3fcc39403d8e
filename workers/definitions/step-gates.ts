/**
 * What a step's tasks pass before they are queued: checks its conditions, and makes what a shard judges
 * them by. Pure.
 */
import type { GateRow } from "../../database/definition-rows.ts";
import { STEP_CONDITION } from "../../expressions/step-condition.ts";
import type { FieldError } from "../../protocol/errors.ts";
import type { StepDefinition } from "../../protocol/http.ts";
import { expressionFinding } from "./expression-errors.ts";
import { compileOfStep } from "./step-expressions.ts";
import { buildWait } from "./waits.ts";

const CONDITIONS = ["skipIf", "runIf", "cancelIf"] as const;

export interface Gate {
  /** Undefined: there is nothing to pass. */
  row: GateRow | undefined;
  findings: FieldError[];
}

/** @param path Of the step in its definition. */
export function buildGate(step: StepDefinition, path: string): Gate {
  const { parents = [], waitFor } = step;
  const findings: FieldError[] = [];
  const row: GateRow = {};
  for (const name of CONDITIONS) {
    const source = step[name];
    if (source === undefined) continue;
    row[name] = source;
    const checked = compileOfStep(source, STEP_CONDITION, parents);
    if (!checked.ok) findings.push(expressionFinding(`${path}.${name}`, checked.error));
  }
  if (waitFor !== undefined) {
    const wait = buildWait(waitFor, `${path}.waitFor`, parents);
    row.wait = wait.row;
    findings.push(...wait.findings);
  }
  return { row: Object.keys(row).length > 0 ? row : undefined, findings };
}
