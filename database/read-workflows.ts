/**
 * Workflows as the API shows them: each with its active version.
 */
import { and, asc, eq, sql } from "drizzle-orm";
import type { Page, Workflow } from "../protocol/http.ts";
import { isoTime, type Reads, toPage } from "./reads.ts";
import { workflow, workflowVersion } from "./schema.ts";

const columns = {
  id: workflow.id,
  name: workflow.name,
  createdAt: workflow.createdAt,
  pausedAt: workflow.pausedAt,
  pauseMode: workflow.pauseMode,
  versionId: workflowVersion.id,
  number: workflowVersion.number,
  checksum: workflowVersion.checksum,
  versionCreatedAt: workflowVersion.createdAt,
  definition: workflowVersion.definition,
};

/** By name. */
export async function listWorkflows(
  reads: Reads,
  tenant: string,
  { limit, cursor }: { limit: number; cursor?: string },
): Promise<Page<Workflow>> {
  const rows = await reads
    .select(columns)
    .from(workflow)
    .innerJoin(workflowVersion, eq(workflowVersion.id, workflow.activeVersionId))
    .where(
      and(eq(workflow.tenantId, tenant), cursor ? sql`${workflow.name} > ${cursor}` : undefined),
    )
    .orderBy(asc(workflow.name))
    .limit(limit + 1);
  return toPage(rows.map(toWorkflow), limit, ({ name }) => name);
}

export async function readWorkflow(
  reads: Reads,
  tenant: string,
  name: string,
): Promise<Workflow | undefined> {
  const [row] = await reads
    .select(columns)
    .from(workflow)
    .innerJoin(workflowVersion, eq(workflowVersion.id, workflow.activeVersionId))
    .where(and(eq(workflow.tenantId, tenant), eq(workflow.name, name)));
  return row && toWorkflow(row);
}

type Row = { [Column in keyof typeof columns]: (typeof columns)[Column]["_"]["data"] };
type NullableRow = Omit<Row, "pausedAt" | "pauseMode"> & {
  pausedAt: Row["pausedAt"] | null;
  pauseMode: Row["pauseMode"] | null;
};

function toWorkflow(row: NullableRow): Workflow {
  const { id, name, definition, versionId, number, checksum, pausedAt, pauseMode } = row;
  return {
    id,
    name,
    createdAt: isoTime(row.createdAt),
    version: { id: versionId, number, checksum, createdAt: isoTime(row.versionCreatedAt) },
    definition,
    paused:
      pausedAt === null || pauseMode === null ? null : { at: isoTime(pausedAt), mode: pauseMode },
  };
}
