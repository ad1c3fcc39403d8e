/**
 * How long a tenant's history is kept, and the clock's duty to drop what nobody may read any more.
 */
import { eq } from "drizzle-orm";
import type { Retention } from "../protocol/history-bodies.ts";
import type { Query } from "./connect.ts";
import type { Reads } from "./reads.ts";
import { tenant as tenants } from "./schema.ts";

export async function readRetention(reads: Reads, tenant: string): Promise<Retention> {
  const [row] = await reads
    .select({ days: tenants.retentionDays })
    .from(tenants)
    .where(eq(tenants.id, tenant));
  return { days: row?.days ?? null };
}

export async function putRetention(
  query: Query,
  tenant: string,
  { days }: Retention,
): Promise<void> {
  await query("select v1.put_retention($1, $2)", [tenant, days]);
}

/** Drops at most one partition; says which. */
export async function dropHistory(query: Query): Promise<string | undefined> {
  const [row] = await query("select v1.drop_history() as dropped", []);
  return (row?.["dropped"] ?? undefined) as string | undefined;
}
