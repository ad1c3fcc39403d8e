/**
 * Stored limits as the API shows them.
 */
import { and, asc, eq, gt } from "drizzle-orm";
import type { Page } from "../protocol/http.ts";
import type { PutLimit, StoredLimit } from "../protocol/limit-bodies.ts";
import { type Reads, toPage } from "./reads.ts";
import { storedLimit } from "./schema.ts";

/** By name. */
export async function listLimits(
  reads: Reads,
  tenant: string,
  { limit, cursor }: { limit: number; cursor?: string },
): Promise<Page<StoredLimit>> {
  const isAfter = cursor === undefined ? undefined : gt(storedLimit.name, cursor);
  const rows = await reads
    .select()
    .from(storedLimit)
    .where(and(eq(storedLimit.tenantId, tenant), isAfter))
    .orderBy(asc(storedLimit.name))
    .limit(limit + 1);
  return toPage(rows.map(toStoredLimit), limit, ({ name }) => name);
}

export async function readLimit(
  reads: Reads,
  tenant: string,
  name: string,
): Promise<StoredLimit | undefined> {
  const [row] = await reads
    .select()
    .from(storedLimit)
    .where(and(eq(storedLimit.tenantId, tenant), eq(storedLimit.name, name)));
  return row && toStoredLimit(row);
}

export function toStoredLimit({
  name,
  definition,
  createdAt,
  updatedAt,
}: {
  name: string;
  definition: PutLimit;
  createdAt: Date;
  updatedAt: Date;
}): StoredLimit {
  return {
    name,
    kind: definition.rate === undefined ? "concurrency" : "rate",
    ...definition,
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
  };
}
