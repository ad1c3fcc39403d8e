/**
 * Notifications: who is told of runs that have ended, and what there is to tell.
 */
import { and, asc, between, eq, gt } from "drizzle-orm";
import type { Page } from "../protocol/http.ts";
import { lastTaskId } from "../protocol/ids.ts";
import type { EndState, Notification, NotificationBody } from "../protocol/notification-bodies.ts";
import type { Query } from "./connect.ts";
import { runColumns, toSummary } from "./read-runs.ts";
import { isoTime, type Reads, toPage } from "./reads.ts";
import { dag, notification, task, workflow, workflowRun, workflowVersion } from "./schema.ts";

/** What is stored of a notification. `made`: the secret that a new one gets, where it says none. */
export interface NotificationDefinition {
  url: string;
  states: EndState[];
  workflows?: string[] | undefined;
  secrets?: string[] | undefined;
  made: string;
}

interface StoredRow {
  name: string;
  url: string;
  states: EndState[];
  workflows: string[] | null;
  gone_at: string | null;
  created_at: string;
  updated_at: string;
  created: boolean;
}

/** Undefined: there are `most` already. */
export async function putNotification(
  query: Query,
  tenant: string,
  name: string,
  definition: NotificationDefinition,
  most: number,
): Promise<(Notification & { created: boolean }) | undefined> {
  const [row] = await query("select v1.put_notification($1, $2, $3::jsonb, $4) as stored", [
    tenant,
    name,
    JSON.stringify(definition),
    most,
  ]);
  const stored = row?.["stored"] as StoredRow | null;
  if (stored === null) return undefined;
  const { states, workflows, url, created } = stored;
  const [createdAt, updatedAt] = [new Date(stored.created_at), new Date(stored.updated_at)];
  const shown = toNotification({
    name,
    url,
    states,
    workflows,
    goneAt: null,
    createdAt,
    updatedAt,
  });
  return { ...shown, created };
}

/** False: there was none. */
export async function deleteNotification(
  query: Query,
  tenant: string,
  name: string,
): Promise<boolean> {
  const [row] = await query("select v1.delete_notification($1, $2) as is_deleted", [tenant, name]);
  return row?.["is_deleted"] === true;
}

/** Where it is delivered, and what signs it. Undefined: it is told nothing any more. */
export async function readNotification(
  query: Query,
  tenant: string,
  name: string,
): Promise<{ url: string; secrets: string[] } | undefined> {
  const [row] = await query("select v1.read_notification($1, $2) as endpoint", [tenant, name]);
  return (row?.["endpoint"] ?? undefined) as { url: string; secrets: string[] } | undefined;
}

/** Its endpoint is gone. */
export async function endNotification(query: Query, tenant: string, name: string): Promise<void> {
  await query("select v1.end_notification($1, $2)", [tenant, name]);
}

const columns = {
  name: notification.name,
  url: notification.url,
  states: notification.states,
  workflows: notification.workflows,
  goneAt: notification.goneAt,
  createdAt: notification.createdAt,
  updatedAt: notification.updatedAt,
};

/** By name. */
export async function listNotifications(
  reads: Reads,
  tenant: string,
  { limit, cursor }: { limit: number; cursor?: string },
): Promise<Page<Notification>> {
  const isAfter = cursor === undefined ? undefined : gt(notification.name, cursor);
  const rows = await reads
    .select(columns)
    .from(notification)
    .where(and(eq(notification.tenantId, tenant), isAfter))
    .orderBy(asc(notification.name))
    .limit(limit + 1);
  return toPage(rows.map(toNotification), limit, ({ name }) => name);
}

export async function showNotification(
  reads: Reads,
  tenant: string,
  name: string,
): Promise<Notification | undefined> {
  const [row] = await reads
    .select(columns)
    .from(notification)
    .where(and(eq(notification.tenantId, tenant), eq(notification.name, name)));
  return row && toNotification(row);
}

/** A run that has ended, as it is told of. */
export async function readRunEnd(
  reads: Reads,
  tenant: string,
  id: string,
): Promise<NotificationBody["data"] | undefined> {
  const ofRun = and(eq(workflowRun.tenantId, tenant), eq(workflowRun.id, id));
  const [[row], [failure]] = await Promise.all([
    reads
      .select({ ...runColumns, error: workflowRun.error })
      .from(workflowRun)
      .innerJoin(workflow, eq(workflow.id, workflowRun.workflowId))
      .innerJoin(workflowVersion, eq(workflowVersion.id, workflowRun.versionId))
      .where(ofRun),
    reads
      .select({ step: dag.name, error: task.error })
      .from(workflowRun)
      .innerJoin(task, and(between(task.id, id, lastTaskId(id)), eq(task.state, "failed")))
      .innerJoin(
        dag,
        and(
          eq(dag.versionId, workflowRun.versionId),
          eq(dag.step, task.step),
          eq(dag.kind, "step"),
        ),
      )
      .where(ofRun)
      .orderBy(asc(task.id))
      .limit(1),
  ]);
  if (row === undefined) return undefined;
  const ofStep = failure?.error ? { ...failure.error, step: failure.step } : null;
  const error = ofStep ?? (row.error && { ...row.error, step: null });
  return { ...toSummary(row), error };
}

function toNotification(row: {
  name: string;
  url: string;
  states: readonly string[];
  workflows: string[] | null;
  goneAt: Date | null;
  createdAt: Date;
  updatedAt: Date;
}): Notification {
  return {
    name: row.name,
    url: row.url,
    on: row.states as EndState[],
    workflows: row.workflows,
    goneAt: isoTime(row.goneAt),
    createdAt: isoTime(row.createdAt),
    updatedAt: isoTime(row.updatedAt),
  };
}
