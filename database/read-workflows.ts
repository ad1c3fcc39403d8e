/**
 * Workflows as the API shows them: each with its active version.
 */
import { and, asc, eq, sql } from "drizzle-orm";
import type { Page, Workflow, WorkflowDefinition } from "../protocol/http.ts";
import type { Promotion } from "../protocol/version-bodies.ts";
import type { PromotionRow, WorkflowRow } from "./definition-rows.ts";
import { isoTime, type Reads, toPage } from "./reads.ts";
import { workflow } from "./schema.ts";

const row = sql<WorkflowRow>`v1.read_version(${workflow.tenantId}, ${workflow.activeVersionId})`;

/** By name. */
export async function listWorkflows(
  reads: Reads,
  tenant: string,
  { limit, cursor }: { limit: number; cursor?: string },
): Promise<Page<Workflow>> {
  const rows = await reads
    .select({ row })
    .from(workflow)
    .where(
      and(eq(workflow.tenantId, tenant), cursor ? sql`${workflow.name} > ${cursor}` : undefined),
    )
    .orderBy(asc(workflow.name))
    .limit(limit + 1);
  const found = rows.map((one) => shownWorkflow(one.row));
  return toPage(found, limit, ({ name }) => name);
}

export async function readWorkflow(
  reads: Reads,
  tenant: string,
  name: string,
): Promise<Workflow | undefined> {
  const [found] = await reads
    .select({ row })
    .from(workflow)
    .where(and(eq(workflow.tenantId, tenant), eq(workflow.name, name)));
  return found && shownWorkflow(found.row);
}

/** A workflow as Postgres tells it, as the API shows it. */
export function shownWorkflow(found: WorkflowRow): Workflow {
  const { id, name, created_at, definition, paused, version, promotion } = found;
  const { created_at: versionCreatedAt, ...ofVersion } = version;
  return {
    id,
    name,
    createdAt: isoTime(new Date(created_at)),
    version: { ...ofVersion, createdAt: isoTime(new Date(versionCreatedAt)) },
    // Stored as it was once registered, and checked then.
    definition: definition as unknown as WorkflowDefinition,
    paused: paused && { ...paused, at: isoTime(new Date(paused.at)) },
    promotion: promotion && shownPromotion(promotion),
  };
}

function shownPromotion({ share, key, started_at, ...promotion }: PromotionRow): Promotion {
  return {
    ...promotion,
    percent: share / 100,
    key: key && key.join("."),
    startedAt: isoTime(new Date(started_at)),
  };
}
