/**
 * What a step waits for: checks the conditions of its events, finds by which equality with an event each wait
 * can be found, and writes out which sets of conditions are enough. Pure.
 */
import type { AwaitedRow, WaitRow } from "../../database/definition-rows.ts";
import { equalityWithEvent } from "../../expressions/cancel-condition.ts";
import { WAIT_CONDITION } from "../../expressions/wait-condition.ts";
import type { FieldError } from "../../protocol/errors.ts";
import type { AwaitedCondition, WaitFor } from "../../protocol/wait-bodies.ts";
import { expressionFinding } from "./expression-errors.ts";
import { compileOfStep } from "./step-expressions.ts";

/** Of all waits for the event's key: it needs no equality. */
const ANY = { eventPath: [], runPath: [] };

export interface Wait {
  row: WaitRow;
  findings: FieldError[];
}

/** @param path Of it in its definition. */
export function buildWait(
  { timeoutMs, onTimeout, ...condition }: WaitFor,
  path: string,
  parents: readonly string[],
): Wait {
  const builder: Builder = { conditions: [], findings: [], parents };
  const sets = setsOf(condition, path, builder);
  const { conditions, findings } = builder;
  const row = {
    conditions,
    sets,
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(onTimeout !== undefined && { onTimeout }),
  };
  return { row, findings };
}

interface Part extends AwaitedCondition {
  any?: readonly Part[];
  all?: readonly Part[];
}

interface Builder {
  conditions: AwaitedRow[];
  findings: FieldError[];
  parents: readonly string[];
}

/** Sets of conditions that are each enough, as bits; no condition is in it twice, so none is a part of another. */
function setsOf(condition: Part, path: string, builder: Builder): number[] {
  const { any, all } = condition;
  if (any !== undefined) {
    return any.flatMap((part, index) => setsOf(part, `${path}.any[${index}]`, builder));
  }
  if (all !== undefined) {
    return all
      .map((part, index) => setsOf(part, `${path}.all[${index}]`, builder))
      .reduce((sets, others) => sets.flatMap((set) => others.map((other) => set | other)));
  }
  const n = builder.conditions.length;
  builder.conditions.push(rowOf(n, condition, path, builder));
  return [1 << n];
}

function rowOf(
  n: number,
  { event, if: source = "true", withinMs, sleepMs = 0 }: AwaitedCondition,
  path: string,
  { findings, parents }: Builder,
): AwaitedRow {
  if (event === undefined) return { n, sleepMs };
  const compiled = compileOfStep(source, WAIT_CONDITION, parents);
  if (!compiled.ok) findings.push(expressionFinding(`${path}.if`, compiled.error));
  const equality = (compiled.ok && equalityWithEvent(compiled.expression)) || ANY;
  return { n, event, if: source, ...equality, ...(withinMs !== undefined && { withinMs }) };
}
