/**
 * Checks that a workflow's steps form a DAG and numbers its edges. Pure.
 */
import type { RegisterRequest } from "../../database/functions.ts";
import type { WorkflowDefinition } from "../../protocol/http.ts";
import { DEFAULT_TIMEOUT_MS, MAX_NAME_LENGTH } from "../../protocol/limits.ts";

export type DagRow = RegisterRequest["dag"][number];
export type DagFinding = { path: string; message: string };

/** The DAG's rows, or everything that is wrong with it. */
export function buildDag(
  definition: WorkflowDefinition,
): { rows: DagRow[] } | { findings: DagFinding[] } {
  const { steps } = definition;
  const numbers = new Map<string, number>();
  const findings: DagFinding[] = [];
  for (const [number, { name }] of steps.entries()) {
    const first = numbers.get(name);
    if (first === undefined) numbers.set(name, number);
    else
      findings.push({
        path: `steps[${number}].name`,
        message: `"${name}" is also the name of steps[${first}]`,
      });
  }
  const rows = steps.map((step, number): DagRow => {
    const action = step.action ?? `${definition.name}:${step.name}`;
    if (action.length > MAX_NAME_LENGTH) {
      findings.push({
        path: `steps[${number}].action`,
        message: `"${action}" has ${action.length} characters: shorten a name, or give an action of at most ${MAX_NAME_LENGTH}`,
      });
    }
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
      action,
      parents: [...parents],
      children: [],
      descendants: [],
      timeout: step.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    };
  });
  if (findings.length > 0) return { findings };
  for (const row of rows) for (const parent of row.parents) rows[parent]?.children.push(row.step);

  const order = topologicalOrder(rows);
  if (order.length < rows.length) return { findings: [describeCycle(rows, new Set(order))] };
  for (const number of order.toReversed()) {
    const row = rows[number];
    if (row === undefined) continue;
    const below = row.children.flatMap((child) => [child, ...(rows[child]?.descendants ?? [])]);
    row.descendants = [...new Set(below)].toSorted((a, b) => a - b);
  }
  return { rows };
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
function describeCycle(rows: DagRow[], ordered: Set<number>): DagFinding {
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
