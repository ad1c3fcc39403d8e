/**
 * Runs as lists show them, and which runs a filter means.
 */
import { and, asc, desc, eq, gte, inArray, lt, type SQL, sql } from "drizzle-orm";
import type { Page, RunFilter, RunSummary } from "../protocol/http.ts";
import { firstIdAt, runIdOf, timeOfId } from "../protocol/ids.ts";
import { FINISHED_RUN_STATES, type RunState } from "../protocol/states.ts";
import { isRunOf } from "./kept.ts";
import { isoTime, type Reads, toPage } from "./reads.ts";
import { event, workflow, workflowRun, workflowVersion } from "./schema.ts";

export const runColumns = {
  id: workflowRun.id,
  workflow: workflow.name,
  version: workflowVersion.number,
  state: workflowRun.state,
  metadata: workflowRun.metadata,
  eventId: workflowRun.eventId,
  filterId: workflowRun.filterId,
  replayOf: workflowRun.replayOf,
  parentId: workflowRun.parentId,
  scheduleId: workflowRun.scheduleId,
  tick: workflowRun.tick,
  startsAt: workflowRun.startsAt,
  startedAt: workflowRun.startedAt,
  finishedAt: workflowRun.finishedAt,
};

/** Newest first. */
export async function listRuns(
  reads: Reads,
  tenant: string,
  { limit, cursor, ...filter }: RunFilter & { limit: number; cursor?: string },
): Promise<Page<RunSummary>> {
  const rows = await reads
    .select(runColumns)
    .from(workflowRun)
    .innerJoin(workflow, eq(workflow.id, workflowRun.workflowId))
    .innerJoin(workflowVersion, eq(workflowVersion.id, workflowRun.versionId))
    .where(and(fits(tenant, filter), cursor === undefined ? undefined : lt(workflowRun.id, cursor)))
    .orderBy(desc(workflowRun.id))
    .limit(limit + 1);
  return toPage(rows.map(toSummary), limit, ({ id }) => id);
}

/**
 * Runs that fit and have not finished, oldest first. Looks at what there is to do: a tenant may
 * have finished ten million runs.
 */
export async function findUnfinishedRuns(
  reads: Reads,
  tenant: string,
  filter: RunFilter,
  limit: number,
): Promise<{ id: string; shard: number }[]> {
  return await reads
    .select({ id: workflowRun.id, shard: workflowRun.shard })
    .from(workflowRun)
    .where(
      and(
        sql`${workflowRun.id} in (select v1.unfinished_runs(${tenant}))`,
        fits(tenant, filter),
        sql`not ${isFinished}`,
      ),
    )
    .orderBy(asc(workflowRun.id))
    .limit(limit);
}

export interface StateOfRun {
  id: string;
  state: RunState;
  /** By which it is dispatched. */
  shard: number;
}

/** The states of those of the runs that are the tenant's. */
export async function readRunStates(
  reads: Reads,
  tenant: string,
  ids: string[],
): Promise<StateOfRun[]> {
  return await reads
    .select({ id: workflowRun.id, state: workflowRun.state, shard: workflowRun.shard })
    .from(workflowRun)
    .where(and(isRunOf(tenant), inArray(workflowRun.id, ids)));
}

export const isFinished = inArray(workflowRun.state, [...FINISHED_RUN_STATES]);

/** Whether a run is the tenant's and fits everything that the filter says. */
export function fits(tenant: string, filter: RunFilter): SQL | undefined {
  const { since, until, metadata = {} } = filter;
  return and(
    isRunOf(tenant),
    filter.workflow === undefined
      ? undefined
      : sql`${workflowRun.workflowId} = (select w.id from ${workflow} w
             where w.tenant_id = ${tenant} and w.name = ${filter.workflow})`,
    filter.state && eq(workflowRun.state, filter.state),
    since === undefined ? undefined : gte(workflowRun.id, firstIdAt(Date.parse(since))),
    until === undefined ? undefined : lt(workflowRun.id, firstIdAt(Date.parse(until))),
    Object.keys(metadata).length === 0
      ? undefined
      : sql`${workflowRun.metadata} @> ${JSON.stringify(metadata)}::jsonb`,
    // The event knows its runs; the runs have no index by event.
    filter.eventId === undefined
      ? undefined
      : sql`${workflowRun.id} in (select unnest(e.runs) from ${event} e
             where e.tenant_id = ${tenant} and e.id = ${filter.eventId})`,
    filter.scheduleId === undefined ? undefined : eq(workflowRun.scheduleId, filter.scheduleId),
  );
}

type RunRow = Omit<
  RunSummary,
  "createdAt" | "startsAt" | "startedAt" | "finishedAt" | "parent" | "scheduledFor"
> & {
  parentId: string | null;
  tick: Date | null;
  startsAt: Date | null;
  startedAt: Date | null;
  finishedAt: Date | null;
};

export function toSummary(row: RunRow): RunSummary {
  const { id, parentId } = row;
  return {
    id,
    workflow: row.workflow,
    version: row.version,
    state: row.state,
    metadata: row.metadata,
    eventId: row.eventId,
    filterId: row.filterId,
    replayOf: row.replayOf,
    parent: parentId === null ? null : { run: runIdOf(parentId), task: parentId },
    scheduleId: row.scheduleId,
    scheduledFor: isoTime(row.tick),
    createdAt: new Date(timeOfId(id)).toISOString(),
    startsAt: isoTime(row.startsAt),
    startedAt: isoTime(row.startedAt),
    finishedAt: isoTime(row.finishedAt),
  };
}
