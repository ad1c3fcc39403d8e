/**
 * What is stored beside a definition, or everything that is wrong with it. Pure.
 */
import type { RegisterRequest } from "../../database/functions.ts";
import type { FieldError } from "../../protocol/errors.ts";
import type { WorkflowDefinition } from "../../protocol/http.ts";
import { ProblemError } from "../api/problems.ts";
import { buildCancelOn } from "./cancel-on.ts";
import { buildDag } from "./dag.ts";
import { buildDeclared } from "./filters.ts";
import { namedLimits, versionDispatch } from "./dispatch.ts";
import { checkCrons } from "./crons.ts";
import { checkLimitUses } from "./limit-checks.ts";
import { checkRetryConditions } from "./retry-conditions.ts";

type RegistrationRows = Pick<
  RegisterRequest,
  "dag" | "cancelOn" | "timeout" | "dispatch" | "limits" | "filters"
>;

/** One that is wrong is refused with everything that is. */
export function rowsOf(definition: WorkflowDefinition): RegistrationRows {
  const dag = buildDag(definition);
  const cancelOn = buildCancelOn(definition);
  const filters = buildDeclared(definition);
  const ofExpressions = [
    ...checkRetryConditions(definition),
    ...checkLimitUses(definition),
    ...cancelOn.findings,
    ...filters.findings,
    ...checkCrons(definition),
  ];
  if ("findings" in dag) return refuseDefinition([...dag.findings, ...ofExpressions]);
  if (ofExpressions.length > 0) return refuseDefinition(ofExpressions);
  const limits = [...new Set(namedLimits(definition).map(({ name }) => name))];
  return {
    dag: dag.rows,
    timeout: definition.timeoutMs,
    dispatch: versionDispatch(definition),
    ...(cancelOn.rows.length > 0 && { cancelOn: cancelOn.rows }),
    ...(limits.length > 0 && { limits }),
    ...(filters.rows.length > 0 && { filters: filters.rows }),
  };
}

/** Refuses a definition that names stored limits which are not there. */
export function refuseUnknownLimits(
  definition: WorkflowDefinition,
  unknown: readonly string[],
): never {
  const findings = namedLimits(definition)
    .filter(({ name }) => unknown.includes(name))
    .map(({ name, path }) => ({
      path,
      message: `there is no limit "${name}": store it first, with PUT /api/v1/limits/${name}`,
    }));
  return refuseDefinition(findings);
}

function refuseDefinition(findings: FieldError[]): never {
  throw new ProblemError("invalid_workflow", firstOf(findings), { fields: findings });
}

/** What is wrong with a body, as a sentence about the first of it. */
export function firstOf(findings: readonly FieldError[]): string {
  const [first, ...rest] = findings;
  const others = rest.length > 0 ? ` (and ${rest.length} more)` : "";
  return `In the body, ${first?.path}: ${first?.message}${others}.`;
}
