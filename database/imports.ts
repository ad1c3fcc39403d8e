/**
 * Exports of runs that were brought here to be looked at: stored as the text they came as, apart from history.
 */
import { and, desc, eq, lt } from "drizzle-orm";
import type {
  CreatedImport,
  Import,
  ImportSummary,
  RunExport,
} from "../protocol/history-bodies.ts";
import type { Page } from "../protocol/http.ts";
import type { Query } from "./connect.ts";
import { isoTime, type Reads, toPage } from "./reads.ts";
import { importedRun } from "./schema.ts";

/** Undefined: there are as many as there may be. */
export async function putImport(
  query: Query,
  tenant: string,
  { id, checksum, text }: { id: string; checksum: string; text: string },
  { run, version }: RunExport,
  most: { imports: number; bytes: number },
): Promise<CreatedImport | undefined> {
  const { id: runId, workflow, state } = run;
  const row = { id, checksum, run: runId, workflow, version: version.number, state };
  const [stored] = await query("select v1.put_import($1, $2::jsonb, $3, $4::jsonb) as reply", [
    tenant,
    JSON.stringify(row),
    text,
    JSON.stringify(most),
  ]);
  const reply = stored?.["reply"] as {
    id: string;
    imported_at: string;
    created: boolean;
  } | null;
  if (reply === null) return undefined;
  const bytes = new TextEncoder().encode(text).length;
  const importedAt = isoTime(new Date(reply.imported_at));
  const summary = { run: runId, workflow, version: version.number, state, bytes, importedAt };
  return { id: reply.id, ...summary, created: reply.created };
}

/** False: there was none. */
export async function deleteImport(query: Query, tenant: string, id: string): Promise<boolean> {
  const [row] = await query("select v1.delete_import($1, $2) as is_deleted", [tenant, id]);
  return row?.["is_deleted"] === true;
}

const columns = {
  id: importedRun.id,
  run: importedRun.runId,
  workflow: importedRun.workflow,
  version: importedRun.version,
  state: importedRun.state,
  bytes: importedRun.bytes,
  importedAt: importedRun.importedAt,
};

/** The last imported first. */
export async function listImports(
  reads: Reads,
  tenant: string,
  { limit, cursor }: { limit: number; cursor?: string },
): Promise<Page<ImportSummary>> {
  const isBefore = cursor === undefined ? undefined : lt(importedRun.id, cursor);
  const rows = await reads
    .select(columns)
    .from(importedRun)
    .where(and(eq(importedRun.tenantId, tenant), isBefore))
    .orderBy(desc(importedRun.id))
    .limit(limit + 1);
  return toPage(rows.map(toSummary), limit, ({ id }) => id);
}

export async function readImport(
  reads: Reads,
  tenant: string,
  id: string,
): Promise<Import | undefined> {
  const [row] = await reads
    .select({ ...columns, document: importedRun.document })
    .from(importedRun)
    .where(and(eq(importedRun.tenantId, tenant), eq(importedRun.id, id)));
  if (row === undefined) return undefined;
  const { document, ...summary } = row;
  return { ...toSummary(summary), document: JSON.parse(document) as RunExport };
}

/** The document as it came. */
export async function readDocument(
  reads: Reads,
  tenant: string,
  id: string,
): Promise<string | undefined> {
  const [row] = await reads
    .select({ document: importedRun.document })
    .from(importedRun)
    .where(and(eq(importedRun.tenantId, tenant), eq(importedRun.id, id)));
  return row?.document;
}

function toSummary({
  importedAt,
  ...row
}: Omit<ImportSummary, "importedAt"> & { importedAt: Date }): ImportSummary {
  return { ...row, importedAt: isoTime(importedAt) };
}
