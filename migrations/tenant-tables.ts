/**
 * Where a tenant's rows are, table by table, in an order in which they can be inserted. What is in no
 * list here can't be copied, so a test holds this to the tables that there are.
 */

/** Rows of a tenant: a condition on its table `t`, with the tenant's id as a literal. */
export interface TenantTable {
  name: string;
  rows: (tenant: string) => string;
  /** A column whose values are their own database's: rows come in its order and are numbered anew. */
  local?: string;
}

const ownRows = (tenant: string): string => `t.tenant_id = ${tenant}`;

const ofWorkflows = (tenant: string): string =>
  `t.workflow_id in (select id from v1.workflow where tenant_id = ${tenant})`;

const ofVersions = (tenant: string): string =>
  `t.version_id in (select v.id from v1.workflow_version v
     join v1.workflow w on w.id = v.workflow_id where w.tenant_id = ${tenant})`;

const ofTasks =
  (column: string) =>
  (tenant: string): string =>
    `v1.run_id(t.${column}) in (select id from v1.workflow_run where tenant_id = ${tenant})`;

const ofEvents = (tenant: string): string =>
  `t.event_id in (select id from v1.event where tenant_id = ${tenant})`;

export const TENANT_TABLES: readonly TenantTable[] = [
  { name: "tenant", rows: (tenant) => `t.id = ${tenant}` },
  { name: "workflow", rows: ownRows },
  { name: "workflow_version", rows: ofWorkflows },
  { name: "dag", rows: ofVersions },
  { name: "workflow_change", rows: ofWorkflows },
  { name: "promotion", rows: ownRows },
  { name: "promotion_count", rows: ofVersions },
  { name: "limit", rows: ownRows },
  { name: "filter", rows: ownRows },
  { name: "deleted_filter", rows: ownRows },
  { name: "schedule", rows: ownRows },
  { name: "webhook", rows: ownRows },
  { name: "webhook_failure", rows: ownRows, local: "id" },
  { name: "notification", rows: ownRows },
  { name: "idempotency", rows: ownRows },
  { name: "message", rows: ownRows, local: "dead_id" },
  { name: "imported_run", rows: ownRows },
  { name: "event", rows: ownRows },
  { name: "filter_failure", rows: ofEvents },
  { name: "workflow_run", rows: ownRows },
  { name: "task", rows: ofTasks("id") },
  { name: "task_attempt", rows: ofTasks("task_id") },
  { name: "task_output", rows: ofTasks("task_id") },
  { name: "task_wait", rows: ofTasks("task_id") },
  { name: "child_run", rows: ofTasks("parent_id") },
  { name: "log_line", rows: ofTasks("task_id") },
  { name: "shard", rows: ownRows },
  { name: "handout", rows: ownRows },
  { name: "queue_item", rows: ownRows },
  { name: "timer", rows: ownRows },
  { name: "match", rows: ownRows },
];

/** Tables of a database itself; and tokens, which stay at home (docs/scaling.md). */
export const OTHER_TABLES: readonly string[] = [
  "api_token",
  "applied_function",
  "migration",
  "retention_look",
];
