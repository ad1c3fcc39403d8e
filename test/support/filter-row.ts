/** A filter as it is stored. */
import type { DeclaredFilterRow } from "../../database/definition-rows.ts";
import type { FilterCondition } from "../../protocol/event-bodies.ts";
import { buildFilter, isFinding } from "../../workers/definitions/filters.ts";

export function filterRow(
  expression: string,
  rest: Omit<FilterCondition, "expression"> = {},
): DeclaredFilterRow {
  const built = buildFilter({ expression, ...rest }, "expression");
  if (isFinding(built)) throw new Error(`${expression}: ${built.message}`);
  return built;
}
