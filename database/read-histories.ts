/**
 * Recorded runs in numbers, as a replay check goes through them: which there are, then those, some at a time.
 */
import { and, desc, eq, inArray, lt, type SQL, sql } from "drizzle-orm";
import type { AnyPgColumn } from "drizzle-orm/pg-core";
import type { ExportedEvent, RunExport } from "../protocol/history-bodies.ts";
import type { WorkflowDefinition } from "../protocol/http.ts";
import { runIdOf } from "../protocol/ids.ts";
import type { CheckedRuns } from "../protocol/replay-check-bodies.ts";
import type { RunState } from "../protocol/states.ts";
import { isRunOf } from "./kept.ts";
import { assembleRun, fullRunColumns, selectAttempts, selectTasks } from "./read-run.ts";
import { fits, isFinished } from "./read-runs.ts";
import type { Reads } from "./reads.ts";
import { event, taskOutput, workflow, workflowRun, workflowVersion } from "./schema.ts";

/** A run with what it was bound to. */
export type History = Pick<RunExport, "run" | "reusedSteps"> & {
  event: Pick<ExportedEvent, "key"> | null;
  version: { definition: WorkflowDefinition };
};

export interface FoundHistory {
  id: string;
  workflow: string;
  state: RunState;
  /** Of its input and its outputs. */
  bytes: number;
}

const outputBytes = sql`(select coalesce(sum(octet_length(o.output::text)), 0) from ${taskOutput} o
  where o.task_id between ${workflowRun.id} and ${lastOf(workflowRun.id)})`;

const found = {
  id: workflowRun.id,
  workflow: workflow.name,
  state: workflowRun.state,
  bytes: sql<number>`(octet_length(${workflowRun.input}::text) + ${outputBytes})::double precision`,
};

/** Finished runs of a workflow that fit, newest first: with ids below `before`. */
export async function findHistories(
  reads: Reads,
  tenant: string,
  name: string,
  { state, since, until, version }: CheckedRuns,
  page: { before: string | undefined; limit: number },
): Promise<FoundHistory[]> {
  const filter = { workflow: name, ...definedOf({ state, since, until }) };
  return await reads
    .select(found)
    .from(workflowRun)
    .innerJoin(workflow, eq(workflow.id, workflowRun.workflowId))
    .innerJoin(workflowVersion, eq(workflowVersion.id, workflowRun.versionId))
    .where(
      and(
        fits(tenant, filter),
        isFinished,
        version === undefined ? undefined : eq(workflowVersion.number, version),
        page.before === undefined ? undefined : lt(workflowRun.id, page.before),
      ),
    )
    .orderBy(desc(workflowRun.id))
    .limit(page.limit);
}

/** Runs of these ids, whatever their workflow and state, newest first. */
export async function findHistoriesById(
  reads: Reads,
  tenant: string,
  ids: string[],
): Promise<FoundHistory[]> {
  return await reads
    .select(found)
    .from(workflowRun)
    .innerJoin(workflow, eq(workflow.id, workflowRun.workflowId))
    .where(and(isRunOf(tenant), inArray(workflowRun.id, ids)))
    .orderBy(desc(workflowRun.id));
}

/** The runs with all that a check needs, in the order of the ids. */
export async function readHistories(
  reads: Reads,
  tenant: string,
  ids: string[],
): Promise<History[]> {
  const chosen = and(isRunOf(tenant), inArray(workflowRun.id, ids));
  const ofRun = (taskId: AnyPgColumn): SQL =>
    sql`${taskId} between ${workflowRun.id} and ${lastOf(workflowRun.id)}`;
  const [runs, tasks, attempts, versions] = await reads.batch([
    reads
      .select({
        row: fullRunColumns,
        versionId: workflowRun.versionId,
        eventKey: event.key,
      })
      .from(workflowRun)
      .innerJoin(workflow, eq(workflow.id, workflowRun.workflowId))
      .innerJoin(workflowVersion, eq(workflowVersion.id, workflowRun.versionId))
      .leftJoin(event, and(eq(event.id, workflowRun.eventId), eq(event.tenantId, tenant)))
      .where(chosen),
    selectTasks(reads, chosen, ofRun),
    selectAttempts(reads, chosen, ofRun),
    reads
      .select({ id: workflowVersion.id, definition: workflowVersion.definition })
      .from(workflowVersion)
      .where(
        inArray(
          workflowVersion.id,
          reads.select({ id: workflowRun.versionId }).from(workflowRun).where(chosen),
        ),
      ),
  ]);
  const rowOf = new Map(runs.map((run) => [run.row.id, run]));
  const tasksOf = Map.groupBy(tasks, (row) => runIdOf(row.task.id));
  const attemptsOf = Map.groupBy(attempts, ({ attempt }) => runIdOf(attempt.taskId));
  const definitions = new Map(versions.map(({ id, definition }) => [id, definition]));
  return ids.flatMap((id): History[] => {
    const run = rowOf.get(id);
    const definition = definitions.get(run?.versionId ?? "");
    if (run === undefined || definition === undefined) return [];
    const own = tasksOf.get(id) ?? [];
    const reused = own.filter((row) => run.row.reused?.includes(row.task.step) === true);
    return [
      {
        run: assembleRun(run.row, own, attemptsOf.get(id) ?? [], []),
        reusedSteps: reused.map(({ name }) => name),
        event: run.eventKey === null ? null : { key: run.eventKey },
        version: { definition },
      },
    ];
  });
}

/** The last possible id of a run's tasks. */
function lastOf(run: typeof workflowRun.id): SQL {
  return sql`(left(${run}::text, 32) || 'ffff')::uuid`;
}

function definedOf<Fields extends object>(
  fields: Fields,
): { [Key in keyof Fields]?: Exclude<Fields[Key], undefined> } {
  const defined = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(defined) as { [Key in keyof Fields]?: Exclude<Fields[Key], undefined> };
}
