/**
 * Checks that a workflow's steps form a DAG and numbers its edges. Pure.
 */
import type { GateRow } from "../../database/definition-rows.ts";
import type { RegisterRequest } from "../../database/functions.ts";
import type { FieldError } from "../../protocol/errors.ts";
import type { ExecutionPolicy, StepDefinition, WorkflowDefinition } from "../../protocol/http.ts";
import { DEFAULT_BACKOFF, DEFAULT_TIMEOUT_MS, MAX_NAME_LENGTH } from "../../protocol/limits.ts";
import { laterDispatch, stepDispatch } from "./dispatch.ts";
import { buildGate } from "./step-gates.ts";

export type DagRow = RegisterRequest["dag"][number];

/** Appended to an action, for what undoes its step. No step's name has a colon. */
const COMPENSATE = "compensate";
/** The step that sees to a failed run, and so a name that no other step may have beside it. */
const ON_FAILURE = "on-failure";

/**
 * The DAG's rows, or everything that is wrong with it. Steps come first, in the order of the
 * definition; then what undoes them, then what sees to a failed run: those are no part of the graph.
 */
export function buildDag(
  definition: WorkflowDefinition,
): { rows: DagRow[] } | { findings: FieldError[] } {
  const findings: FieldError[] = [];
  const numbers = numberSteps(definition, findings);
  const steps = definition.steps.map((step, number) => ({
    ...stepRow(step, number, numbers, findings),
    dispatch: stepDispatch(step, definition.sticky),
    gate: gateOf(step, number, findings),
  }));
  for (const row of steps) row.action ||= `${definition.name}:${row.name}`;
  const rows = [...steps, ...laterRows(definition, steps)];
  for (const row of rows) checkAction(row, findings);
  if (findings.length > 0) return { findings };
  for (const row of steps) for (const parent of row.parents) steps[parent]?.children.push(row.step);

  const order = topologicalOrder(steps);
  if (order.length < steps.length) return { findings: [describeCycle(steps, new Set(order))] };
  findDescendants(steps, order);
  return { rows };
}

/** Children come before what is below them, so that most have been found with an earlier one. */
function findDescendants(steps: DagRow[], order: number[]): void {
  const places = new Map(order.map((number, place) => [number, place]));
  const placeOf = (number: number): number => places.get(number) ?? 0;
  for (const number of order.toReversed()) {
    const row = steps[number];
    if (row === undefined) continue;
    const found = new Set<number>();
    for (const child of row.children.toSorted((a, b) => placeOf(a) - placeOf(b))) {
      if (found.has(child)) continue;
      found.add(child);
      for (const below of steps[child]?.descendants ?? []) found.add(below);
    }
    row.descendants = [...found].toSorted((a, b) => a - b);
  }
}

function numberSteps(
  { steps, onFailure }: WorkflowDefinition,
  findings: FieldError[],
): Map<string, number> {
  const numbers = new Map<string, number>();
  for (const [number, { name }] of steps.entries()) {
    const path = `steps[${number}].name`;
    const first = numbers.get(name);
    if (first !== undefined) {
      findings.push({ path, message: `"${name}" is also the name of steps[${first}]` });
    } else if (name === ON_FAILURE && onFailure !== undefined) {
      findings.push({ path, message: `"${name}" is the name of the workflow's onFailure` });
    } else {
      numbers.set(name, number);
    }
  }
  return numbers;
}

function stepRow(
  step: StepDefinition,
  number: number,
  numbers: Map<string, number>,
  findings: FieldError[],
): DagRow {
  const parents = new Set<number>();
  for (const [index, parent] of (step.parents ?? []).entries()) {
    const path = `steps[${number}].parents[${index}]`;
    const found = numbers.get(parent);
    if (found === undefined) findings.push({ path, message: `there is no step "${parent}"` });
    else if (parents.has(found)) findings.push({ path, message: `"${parent}" is named twice` });
    else parents.add(found);
  }
  return {
    step: number,
    name: step.name,
    action: step.action ?? "",
    kind: "step",
    parents: [...parents],
    schedule: step.scheduleTimeoutMs,
    ...execution(step),
  };
}

function gateOf(step: StepDefinition, number: number, findings: FieldError[]): GateRow | undefined {
  const gate = buildGate(step, `steps[${number}]`);
  findings.push(...gate.findings);
  return gate.row;
}

/** The rows of steps that only exist in runs that fail. */
function laterRows(
  { name, steps, onFailure, sticky }: WorkflowDefinition,
  rows: DagRow[],
): DagRow[] {
  const later: DagRow[] = [];
  const dispatch = laterDispatch(sticky);
  for (const [number, { compensate }] of steps.entries()) {
    const row = rows[number];
    if (row === undefined || compensate === undefined) continue;
    later.push({
      step: rows.length + later.length,
      name: `${row.name}:${COMPENSATE}`,
      action: `${name}:${row.name}:${COMPENSATE}`,
      kind: "compensate",
      parents: [number, ...row.parents], // whose outputs it is given
      compensates: number,
      dispatch,
      ...execution(compensate),
    });
  }
  if (onFailure !== undefined) {
    later.push({
      step: rows.length + later.length,
      name: ON_FAILURE,
      action: `${name}:${ON_FAILURE}`,
      kind: "on_failure",
      parents: [],
      dispatch,
      ...execution(onFailure),
    });
  }
  return later;
}

function execution({
  timeoutMs,
  retries = 0,
  backoff,
  retryIf,
}: ExecutionPolicy): Pick<DagRow, "children" | "descendants" | "timeout" | "retry"> {
  const retry = {
    retries,
    backoff: { ...DEFAULT_BACKOFF, ...backoff },
    ...(retryIf !== undefined && { retryIf }),
  };
  return {
    children: [],
    descendants: [],
    timeout: timeoutMs ?? DEFAULT_TIMEOUT_MS,
    retry: retries > 0 ? retry : undefined,
  };
}

function checkAction({ kind, step, action, compensates }: DagRow, findings: FieldError[]): void {
  if (action.length <= MAX_NAME_LENGTH) return;
  const what = `"${action}" has ${action.length} characters: shorten a name`;
  findings.push(
    kind === "step"
      ? {
          path: `steps[${step}].action`,
          message: `${what}, or give an action of at most ${MAX_NAME_LENGTH}`,
        }
      : {
          path: compensates === undefined ? "onFailure" : `steps[${compensates}].compensate`,
          message: `${what}, to at most ${MAX_NAME_LENGTH} together`,
        },
  );
}

/** Steps with every parent before its children; those on or below a cycle are left out. */
function topologicalOrder(rows: DagRow[]): number[] {
  const pending = rows.map(({ parents }) => parents.length);
  const order = rows.filter(({ parents }) => parents.length === 0).map(({ step }) => step);
  for (const step of order) {
    for (const child of rows[step]?.children ?? []) {
      pending[child] = (pending[child] ?? 0) - 1;
      if (pending[child] === 0) order.push(child);
    }
  }
  return order;
}

/** Follows parents that never complete until one comes round again. */
function describeCycle(rows: DagRow[], ordered: Set<number>): FieldError {
  const path: number[] = [];
  let step = rows.findIndex(({ step: number }) => !ordered.has(number));
  while (!path.includes(step)) {
    path.push(step);
    step = rows[step]?.parents.find((parent) => !ordered.has(parent)) ?? step;
  }
  const cycle = [...path.slice(path.indexOf(step)), step].toReversed();
  const names = cycle.map((number) => `"${rows[number]?.name}"`).join(" → ");
  return { path: `steps[${step}].parents`, message: `the steps form a cycle: ${names}` };
}
