/**
 * Filters as the API shows them: those that are stored, and those that the active version of a workflow
 * declares.
 */
import { and, asc, desc, eq, isNotNull, lt, sql } from "drizzle-orm";
import type { Filter, FilterFailure } from "../protocol/event-bodies.ts";
import type { Page } from "../protocol/http.ts";
import { timeOfId } from "../protocol/ids.ts";
import type { DeclaredFilterRow } from "./definition-rows.ts";
import { isEventOf } from "./kept.ts";
import { type Reads, toPage } from "./reads.ts";
import { event, filter, filterFailure, workflow, workflowVersion } from "./schema.ts";

export interface FilterQuery {
  workflow?: string;
  scope?: string;
  limit: number;
  cursor?: string;
}

/** By id: the oldest first. */
export async function listFilters(
  reads: Reads,
  tenant: string,
  { limit, cursor, ...asked }: FilterQuery,
): Promise<Page<Filter>> {
  const rows = await reads
    .select()
    .from(filter)
    .innerJoin(workflow, eq(workflow.id, filter.workflowId))
    .where(
      and(
        eq(filter.tenantId, tenant),
        asked.workflow === undefined ? undefined : eq(workflow.name, asked.workflow),
        asked.scope === undefined ? undefined : eq(filter.scope, asked.scope),
        cursor === undefined ? undefined : sql`${filter.id} > ${cursor}`,
      ),
    )
    .orderBy(asc(filter.id))
    .limit(limit + 1);
  const stored = rows.map((row) => toFilter(row.workflow.name, row.filter));
  const declared = (await readDeclared(reads, tenant, asked.workflow)).filter(
    ({ id, scope }) =>
      (cursor === undefined || id > cursor) && (asked.scope === undefined || scope === asked.scope),
  );
  const all = [...stored, ...declared].toSorted((a, b) => (a.id < b.id ? -1 : 1));
  return toPage(all, limit, ({ id }) => id);
}

export async function readFilter(
  reads: Reads,
  tenant: string,
  id: string,
): Promise<Filter | undefined> {
  const [row] = await reads
    .select()
    .from(filter)
    .innerJoin(workflow, eq(workflow.id, filter.workflowId))
    .where(and(eq(filter.tenantId, tenant), eq(filter.id, id)));
  if (row) return toFilter(row.workflow.name, row.filter);
  return (await readDeclared(reads, tenant)).find((declared) => declared.id === id);
}

/** Events for which it could not be evaluated, the newest first. */
export async function listFilterFailures(
  reads: Reads,
  tenant: string,
  id: string,
  { limit, cursor }: { limit: number; cursor?: string },
): Promise<Page<FilterFailure>> {
  const rows = await reads
    .select({ event: filterFailure.eventId, error: filterFailure.error })
    .from(filterFailure)
    .innerJoin(event, and(eq(event.id, filterFailure.eventId), isEventOf(tenant)))
    .where(
      and(
        eq(filterFailure.filterId, id),
        cursor === undefined ? undefined : lt(filterFailure.eventId, cursor),
      ),
    )
    .orderBy(desc(filterFailure.eventId))
    .limit(limit + 1);
  const failures = rows.map((row) => ({
    filter: id,
    ...row,
    at: new Date(timeOfId(row.event)).toISOString(),
  }));
  return toPage(failures, limit, (failure) => failure.event);
}

async function readDeclared(reads: Reads, tenant: string, name?: string): Promise<Filter[]> {
  const rows = await reads
    .select({
      workflow: workflow.name,
      filters: workflowVersion.filters,
      createdAt: workflowVersion.createdAt,
    })
    .from(workflow)
    .innerJoin(workflowVersion, eq(workflowVersion.id, workflow.activeVersionId))
    .where(
      and(
        eq(workflow.tenantId, tenant),
        isNotNull(workflowVersion.filters),
        name === undefined ? undefined : eq(workflow.name, name),
      ),
    );
  return rows.flatMap(({ workflow: of, filters, createdAt }) =>
    (filters ?? []).map((declared) => ofVersion(of, declared, createdAt)),
  );
}

function ofVersion(name: string, declared: DeclaredFilterRow, createdAt: Date): Filter {
  const times = { createdAt, updatedAt: createdAt };
  const { scope = null } = declared;
  return { ...toFilter(name, { ...declared, ...times, scope }), isDeclared: true };
}

function toFilter(
  name: string,
  row: Pick<
    typeof filter.$inferSelect,
    "id" | "scope" | "expression" | "payload" | "createdAt" | "updatedAt"
  >,
): Filter {
  return {
    id: row.id,
    workflow: name,
    scope: row.scope,
    expression: row.expression,
    payload: row.payload,
    isDeclared: false,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}
