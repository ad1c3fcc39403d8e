/**
 * The definition that runs are held against, prepared once for all of them. Pure.
 */
import { ExpressionCache } from "../../expressions/cache.ts";
import { RETRY_CONDITION } from "../../expressions/retry-condition.ts";
import { STEP_CONDITION } from "../../expressions/step-condition.ts";
import { WAIT_CONDITION } from "../../expressions/wait-condition.ts";
import type { WorkflowDefinition } from "../../protocol/http.ts";
import { buildDag, type DagRow } from "../definitions/dag.ts";
import { compileTriggers, type Listener, type Triggers } from "../matching/match-event.ts";

/** Expressions that are kept compiled: of each step three conditions, of which few have any. */
const MAX_COMPILED = 1_000;

export interface Candidate {
  definition: WorkflowDefinition;
  /** Steps, each after its parents. */
  steps: DagRow[];
  byName: Map<string, DagRow>;
  /** Names of the steps that can be undone. */
  compensated: Set<string>;
  triggers: Triggers<Listener>;
  stepConditions: ExpressionCache<"bool">;
  waitConditions: ExpressionCache<"bool">;
  retryConditions: ExpressionCache<"bool">;
}

/** Throws for a definition that has not been checked. */
export function prepareCandidate(definition: WorkflowDefinition): Candidate {
  const rows = stepsOf(definition);
  if (rows === undefined) throw new Error(`The steps of ${definition.name} are no DAG`);
  return {
    definition,
    steps: inOrder(rows),
    byName: new Map(rows.map((row) => [row.name, row])),
    compensated: new Set(
      definition.steps.filter(({ compensate }) => compensate !== undefined).map(({ name }) => name),
    ),
    triggers: compileTriggers([{ events: definition.events ?? [], filterSets: [] }]),
    stepConditions: new ExpressionCache(STEP_CONDITION, MAX_COMPILED),
    waitConditions: new ExpressionCache(WAIT_CONDITION, MAX_COMPILED),
    retryConditions: new ExpressionCache(RETRY_CONDITION, MAX_COMPILED),
  };
}

/** The rows of a definition's steps; undefined: it is none that could be registered today. */
export function stepsOf(definition: WorkflowDefinition): DagRow[] | undefined {
  const dag = buildDag(definition);
  return "findings" in dag ? undefined : dag.rows.filter(({ kind }) => kind === "step");
}

function inOrder(rows: DagRow[]): DagRow[] {
  const pending = rows.map(({ parents }) => parents.length);
  const order = rows.filter(({ parents }) => parents.length === 0);
  for (const { children } of order) {
    for (const child of children) {
      pending[child] = (pending[child] ?? 0) - 1;
      const row = rows[child];
      if (pending[child] === 0 && row !== undefined) order.push(row);
    }
  }
  return order;
}
