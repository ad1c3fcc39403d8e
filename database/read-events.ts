/**
 * Published events as the API shows them, and as a replay needs them.
 */
import { and, asc, desc, eq, gt, gte, inArray, lt, type SQL, sql } from "drizzle-orm";
import type { EventFilter, EventRecord, EventSummary } from "../protocol/event-bodies.ts";
import type { Page } from "../protocol/http.ts";
import { firstIdAt, timeOfId } from "../protocol/ids.ts";
import type { Json, Metadata } from "../protocol/json.ts";
import { isEventOf, isRunOf } from "./kept.ts";
import { type Reads, toPage } from "./reads.ts";
import { event, filterFailure, workflow, workflowRun } from "./schema.ts";

/** An event to be published again. */
export interface OriginalEvent {
  id: string;
  key: string;
  scope: string | null;
  payload: Json;
  metadata: Metadata;
}

const originalColumns = {
  id: event.id,
  key: event.key,
  scope: event.scope,
  payload: event.payload,
  metadata: event.metadata,
};

/** Newest first. */
export async function listEvents(
  reads: Reads,
  tenant: string,
  { limit, cursor, ...filter }: EventFilter & { limit: number; cursor?: string },
): Promise<Page<EventSummary>> {
  const rows = await reads
    .select({
      id: event.id,
      key: event.key,
      scope: event.scope,
      metadata: event.metadata,
      replayOf: event.replayOf,
      runs: event.runs,
    })
    .from(event)
    .where(and(fits(tenant, filter), cursor === undefined ? undefined : lt(event.id, cursor)))
    .orderBy(desc(event.id))
    .limit(limit + 1);
  const summaries = rows.map((row) => ({ ...row, publishedAt: publishedAt(row.id) }));
  return toPage(summaries, limit, ({ id }) => id);
}

export async function readEvent(
  reads: Reads,
  tenant: string,
  id: string,
): Promise<EventRecord | undefined> {
  const [row] = await reads
    .select({ ...originalColumns, replayOf: event.replayOf, runs: event.runs })
    .from(event)
    .where(and(isEventOf(tenant), eq(event.id, id)));
  if (row === undefined) return undefined;
  const [runs, failures] = await Promise.all([
    reads
      .select({ id: workflowRun.id, workflow: workflow.name, filter: workflowRun.filterId })
      .from(workflowRun)
      .innerJoin(workflow, eq(workflow.id, workflowRun.workflowId))
      .where(and(isRunOf(tenant), inArray(workflowRun.id, row.runs)))
      .orderBy(asc(workflowRun.id)),
    reads
      .select({ filter: filterFailure.filterId, error: filterFailure.error })
      .from(filterFailure)
      .where(eq(filterFailure.eventId, id))
      .orderBy(asc(filterFailure.filterId)),
  ]);
  return { ...row, publishedAt: publishedAt(id), runs, failures };
}

/** Events that fit, oldest first: those with ids below `before` and above `after`. */
export async function findEvents(
  reads: Reads,
  tenant: string,
  filter: EventFilter,
  page: { before: string; after: string | undefined; limit: number },
): Promise<{ id: string; bytes: number }[]> {
  return await reads
    .select({ id: event.id, bytes: sql<number>`octet_length(${event.payload}::text)` })
    .from(event)
    .where(
      and(
        fits(tenant, filter),
        lt(event.id, page.before),
        page.after === undefined ? undefined : gt(event.id, page.after),
      ),
    )
    .orderBy(asc(event.id))
    .limit(page.limit);
}

/** The tenant's events of these ids, oldest first. */
export async function readOriginalEvents(
  reads: Reads,
  tenant: string,
  ids: string[],
): Promise<OriginalEvent[]> {
  return await reads
    .select(originalColumns)
    .from(event)
    .where(and(isEventOf(tenant), inArray(event.id, ids)))
    .orderBy(asc(event.id));
}

/** Whether an event is the tenant's and fits everything that the filter says. */
function fits(tenant: string, filter: EventFilter): SQL | undefined {
  const { key, scope, since, until, metadata = {} } = filter;
  return and(
    isEventOf(tenant),
    key === undefined ? undefined : eq(event.key, key),
    scope === undefined ? undefined : eq(event.scope, scope),
    since === undefined ? undefined : gte(event.id, firstIdAt(Date.parse(since))),
    until === undefined ? undefined : lt(event.id, firstIdAt(Date.parse(until))),
    Object.keys(metadata).length === 0
      ? undefined
      : sql`${event.metadata} @> ${JSON.stringify(metadata)}::jsonb`,
  );
}

function publishedAt(id: string): string {
  return new Date(timeOfId(id)).toISOString();
}
