/**
 * Finished runs as a replay needs them: what they were started with, and how far they came.
 */
import { and, asc, eq, gt, inArray, lt, ne, sql } from "drizzle-orm";
import type { RunFilter } from "../protocol/http.ts";
import type { Json, Metadata } from "../protocol/json.ts";
import type { RunState } from "../protocol/states.ts";
import { isRunOf } from "./kept.ts";
import { fits, isFinished } from "./read-runs.ts";
import type { Reads } from "./reads.ts";
import type { CancelOnRow } from "./definition-rows.ts";
import { dag, task, workflow, workflowRun, workflowVersion } from "./schema.ts";

/** A run to be repeated. */
export interface Original {
  id: string;
  state: RunState;
  workflow: string;
  workflowId: string;
  versionId: string;
  version: number;
  /** How many its version has. */
  steps: number;
  timeoutMs: number | null;
  /** Null: no events cancel its runs. */
  cancelOn: CancelOnRow[] | null;
  input: Json;
  metadata: Metadata;
  /** Null: its version's. */
  priority: number | null;
  /** Null: no filter has started it. */
  filterId: string | null;
  filterPayload: Json;
}

/** A step of a version, as the reuse of its output depends on it. */
export interface StepNode {
  step: number;
  name: string;
  parents: number[];
}

/** Numbers of the steps that a run has completed or skipped, and of those that it has undone, or tried to. */
export interface Progress {
  completed: number[];
  compensated: number[];
}

const stepCount = sql<number>`jsonb_array_length(${workflowVersion.definition}->'steps')`;

/** The tenant's runs of these ids, oldest first, finished or not. */
export async function readOriginals(
  reads: Reads,
  tenant: string,
  ids: string[],
): Promise<Original[]> {
  return await reads
    .select({
      id: workflowRun.id,
      state: workflowRun.state,
      workflow: workflow.name,
      workflowId: workflowRun.workflowId,
      versionId: workflowRun.versionId,
      version: workflowVersion.number,
      steps: stepCount,
      timeoutMs: workflowVersion.timeoutMs,
      cancelOn: workflowVersion.cancelOn,
      input: workflowRun.input,
      metadata: workflowRun.metadata,
      priority: workflowRun.priority,
      filterId: workflowRun.filterId,
      filterPayload: workflowRun.filterPayload,
    })
    .from(workflowRun)
    .innerJoin(workflow, eq(workflow.id, workflowRun.workflowId))
    .innerJoin(workflowVersion, eq(workflowVersion.id, workflowRun.versionId))
    .where(and(isRunOf(tenant), inArray(workflowRun.id, ids)))
    .orderBy(asc(workflowRun.id));
}

export interface FinishedRun {
  id: string;
  steps: number;
  inputBytes: number;
}

/** Finished runs that fit, oldest first: those with ids below `before` and above `after`. */
export async function findFinishedRuns(
  reads: Reads,
  tenant: string,
  filter: RunFilter,
  page: { before: string; after: string | undefined; skipsCompleted: boolean; limit: number },
): Promise<FinishedRun[]> {
  return await reads
    .select({
      id: workflowRun.id,
      steps: stepCount,
      inputBytes: sql<number>`octet_length(${workflowRun.input}::text)`,
    })
    .from(workflowRun)
    .innerJoin(workflowVersion, eq(workflowVersion.id, workflowRun.versionId))
    .where(
      and(
        fits(tenant, filter),
        isFinished,
        page.skipsCompleted ? ne(workflowRun.state, "completed") : undefined,
        lt(workflowRun.id, page.before),
        page.after === undefined ? undefined : gt(workflowRun.id, page.after),
      ),
    )
    .orderBy(asc(workflowRun.id))
    .limit(page.limit);
}

/** The steps of versions, by version. */
export async function readStepNodes(
  reads: Reads,
  versions: string[],
): Promise<Map<string, StepNode[]>> {
  const rows = await reads
    .select({ version: dag.versionId, step: dag.step, name: dag.name, parents: dag.parents })
    .from(dag)
    .where(and(inArray(dag.versionId, versions), eq(dag.kind, "step")))
    .orderBy(asc(dag.versionId), asc(dag.step));
  return Map.groupBy(rows, ({ version }) => version);
}

/** How far runs of the tenant came, by run. */
export async function readProgress(
  reads: Reads,
  tenant: string,
  ids: string[],
): Promise<Map<string, Progress>> {
  const rows = await reads
    .select({
      id: workflowRun.id,
      completed: numbers(
        sql`${dag.step}`,
        sql`${dag.kind} = 'step' and ${task.state} in ('completed', 'skipped')`,
      ),
      compensated: numbers(sql`${dag.compensates}`, sql`${dag.kind} = 'compensate'`),
    })
    .from(workflowRun)
    .innerJoin(dag, eq(dag.versionId, workflowRun.versionId))
    .innerJoin(task, sql`${task.id} = v1.task_id(${workflowRun.id}, ${dag.step})`)
    .where(and(isRunOf(tenant), inArray(workflowRun.id, ids)))
    .groupBy(workflowRun.id);
  return new Map(rows.map(({ id, ...progress }) => [id, progress]));
}

function numbers(step: ReturnType<typeof sql>, condition: ReturnType<typeof sql>) {
  return sql<number[]>`coalesce(jsonb_agg(${step}) filter (where ${condition}), '[]')`;
}
