/**
 * Versions of a workflow as the API shows them, and what was changed about it.
 */
import { and, desc, eq, lt, sql } from "drizzle-orm";
import { alias } from "drizzle-orm/pg-core";
import type { Page, WorkflowDefinition } from "../protocol/http.ts";
import type { VersionSummary, WorkflowChange } from "../protocol/version-bodies.ts";
import { isoTime, type Reads, toPage } from "./reads.ts";
import { promotion, workflow, workflowChange, workflowVersion } from "./schema.ts";

/** Newest first; the cursor is a version's number. Undefined when there is no such workflow. */
export async function listVersions(
  reads: Reads,
  tenant: string,
  name: string,
  { limit, cursor }: { limit: number; cursor?: string },
): Promise<Page<VersionSummary> | undefined> {
  const rows = await versionRows(reads, tenant, name, {
    limit: limit + 1,
    before: cursor === undefined ? undefined : Number(cursor),
  });
  if (rows.length === 0 && !(await isKnown(reads, tenant, name))) return undefined;
  const versions = rows.map(({ definition: _definition, ...version }) => version);
  return toPage(versions, limit, ({ number }) => String(number));
}

/** Undefined when there is no such version. */
export async function readVersion(
  reads: Reads,
  tenant: string,
  name: string,
  number: number,
): Promise<(VersionSummary & { definition: WorkflowDefinition }) | undefined> {
  const [row] = await versionRows(reads, tenant, name, { limit: 1, number });
  return row;
}

async function versionRows(
  reads: Reads,
  tenant: string,
  name: string,
  which: { limit: number; before?: number | undefined; number?: number },
): Promise<(VersionSummary & { definition: WorkflowDefinition })[]> {
  const registration = reads
    .select({ actor: workflowChange.actor })
    .from(workflowChange)
    .where(
      and(
        eq(workflowChange.versionId, workflowVersion.id),
        eq(workflowChange.workflowId, workflow.id),
        eq(workflowChange.kind, "registered"),
      ),
    )
    .limit(1);
  const rows = await reads
    .select({
      id: workflowVersion.id,
      number: workflowVersion.number,
      checksum: workflowVersion.checksum,
      createdAt: workflowVersion.createdAt,
      definition: workflowVersion.definition,
      active: workflow.activeVersionId,
      promoted: promotion.versionId,
      share: promotion.share,
      registeredBy: sql<string | null>`(${registration})`,
    })
    .from(workflow)
    .innerJoin(workflowVersion, eq(workflowVersion.workflowId, workflow.id))
    .leftJoin(promotion, eq(promotion.workflowId, workflow.id))
    .where(
      and(
        eq(workflow.tenantId, tenant),
        eq(workflow.name, name),
        which.before === undefined ? undefined : lt(workflowVersion.number, which.before),
        which.number === undefined ? undefined : eq(workflowVersion.number, which.number),
      ),
    )
    .orderBy(desc(workflowVersion.number))
    .limit(which.limit);
  return rows.map(({ active, promoted, share, createdAt, ...version }) => {
    const isActive = version.id === active;
    const ofPromotion = (share ?? 0) / 100;
    const percent = isActive ? 100 - ofPromotion : version.id === promoted ? ofPromotion : 0;
    return { ...version, createdAt: isoTime(createdAt), isActive, percent };
  });
}

/** Newest first. Undefined when there is no such workflow. */
export async function listChanges(
  reads: Reads,
  tenant: string,
  name: string,
  { limit, cursor }: { limit: number; cursor?: string },
): Promise<Page<WorkflowChange> | undefined> {
  const previous = alias(workflowVersion, "previous");
  const rows = await reads
    .select({
      id: workflowChange.id,
      at: workflowChange.changedAt,
      kind: workflowChange.kind,
      version: workflowVersion.number,
      previousVersion: previous.number,
      isActive: workflowChange.isActive,
      by: workflowChange.actor,
      reason: workflowChange.reason,
      details: workflowChange.details,
    })
    .from(workflow)
    .innerJoin(workflowChange, eq(workflowChange.workflowId, workflow.id))
    .innerJoin(workflowVersion, eq(workflowVersion.id, workflowChange.versionId))
    .leftJoin(previous, eq(previous.id, workflowChange.previousVersionId))
    .where(
      and(
        eq(workflow.tenantId, tenant),
        eq(workflow.name, name),
        cursor === undefined ? undefined : lt(workflowChange.id, cursor),
      ),
    )
    .orderBy(desc(workflowChange.id))
    .limit(limit + 1);
  if (rows.length === 0 && !(await isKnown(reads, tenant, name))) return undefined;
  const changes = rows.map(({ at, details, ...change }) => ({
    ...change,
    at: isoTime(at),
    details: details ?? null,
  }));
  return toPage(changes, limit, ({ id }) => id);
}

async function isKnown(reads: Reads, tenant: string, name: string): Promise<boolean> {
  const found = await reads
    .select({ id: workflow.id })
    .from(workflow)
    .where(and(eq(workflow.tenantId, tenant), eq(workflow.name, name)));
  return found.length > 0;
}
