/**
 * What a tenant may read of its history: a run for the tenant's period after its end, and until then in any
 * case; an event for that period after it was published. What is older is hidden at once, and dropped when its
 * month is (decision 26).
 */
import { and, eq, type SQL, sql } from "drizzle-orm";
import { event, tenant as tenants, workflowRun } from "./schema.ts";

/** Since when; null: the tenant keeps everything. Asked once in a statement, whatever it goes through. */
const keptSince = (tenant: string): SQL =>
  sql`(select now() - t.retention_days * interval '1 day' from ${tenants} t where t.id = ${tenant})`;

/** Whether a run is the tenant's, and may be read. */
export function isRunOf(tenant: string): SQL | undefined {
  return and(
    eq(workflowRun.tenantId, tenant),
    sql`(${workflowRun.finishedAt} is null
         or ${workflowRun.finishedAt} > coalesce(${keptSince(tenant)}, '-infinity'))`,
  );
}

/** Whether an event is the tenant's, and may be read. */
export function isEventOf(tenant: string): SQL | undefined {
  return and(
    eq(event.tenantId, tenant),
    sql`${event.id} >= coalesce(v1.first_id_at(${keptSince(tenant)}), '00000000-0000-0000-0000-000000000000')`,
  );
}
