/**
 * Webhooks: what the API shows of them, and what deliveries are verified with. Secrets go in by one
 * function and come out by another; no read here has them.
 */
import { and, asc, desc, eq, gt } from "drizzle-orm";
import type { DeliveryFailureCode } from "../protocol/errors.ts";
import type { Page } from "../protocol/http.ts";
import type { StoredWebhook, WebhookFailure } from "../protocol/webhook-bodies.ts";
import type { Query } from "./connect.ts";
import { isoTime, type Reads, toPage } from "./reads.ts";
import { webhook, webhookFailure } from "./schema.ts";

/** A webhook without its secrets. */
export interface WebhookRow {
  name: string;
  definition: StoredWebhook;
  secretCount: number;
  createdAt: string;
  updatedAt: string;
}

export type PutWebhookReply =
  | { refused: "too_many" | "secrets" }
  | { stored: WebhookRow; created: boolean };

/** Without `secrets` those that are stored stay: there must be some, and of the same provider. */
export async function putWebhook(
  query: Query,
  tenant: string,
  name: string,
  put: { definition: StoredWebhook; secrets: string[] | undefined; most: number },
): Promise<PutWebhookReply> {
  const { definition, secrets, most } = put;
  const [row] = await query("select v1.put_webhook($1, $2, $3::jsonb, $4::text[], $5) as reply", [
    tenant,
    name,
    JSON.stringify(definition),
    secrets ?? null,
    most,
  ]);
  const reply = row?.["reply"] as
    | { refused: "too_many" | "secrets" }
    | {
        name: string;
        definition: StoredWebhook;
        secret_count: number;
        created_at: string;
        updated_at: string;
        created: boolean;
      };
  if ("refused" in reply) return reply;
  const stored = {
    name: reply.name,
    definition: reply.definition,
    secretCount: reply.secret_count,
    createdAt: isoTime(new Date(reply.created_at)),
    updatedAt: isoTime(new Date(reply.updated_at)),
  };
  return { stored, created: reply.created };
}

/** False: there was none. */
export async function deleteWebhook(query: Query, tenant: string, name: string): Promise<boolean> {
  const [row] = await query("select v1.delete_webhook($1, $2) as deleted", [tenant, name]);
  return row?.["deleted"] === true;
}

/** What a delivery is verified with; undefined when there is no such webhook. */
export async function readVerifier(
  query: Query,
  tenant: string,
  name: string,
): Promise<{ definition: StoredWebhook; secrets: string[] } | undefined> {
  const [row] = await query("select v1.read_webhook($1, $2) as verifier", [tenant, name]);
  return (row?.["verifier"] ?? undefined) as
    | { definition: StoredWebhook; secrets: string[] }
    | undefined;
}

/** Keeps `most` of a webhook, and writes no more than that a minute; nothing where there is none. */
export async function recordWebhookFailure(
  query: Query,
  tenant: string,
  name: string,
  failure: { code: DeliveryFailureCode; detail: string | null; most: number },
): Promise<void> {
  const { code, detail, most } = failure;
  await query("select v1.record_webhook_failure($1, $2, $3, $4, $5)", [
    tenant,
    name,
    code,
    detail,
    most,
  ]);
}

const SHOWN = {
  name: webhook.name,
  definition: webhook.definition,
  secretCount: webhook.secretCount,
  createdAt: webhook.createdAt,
  updatedAt: webhook.updatedAt,
};

/** By name. */
export async function listWebhooks(
  reads: Reads,
  tenant: string,
  { limit, cursor }: { limit: number; cursor?: string },
): Promise<Page<WebhookRow>> {
  const isAfter = cursor === undefined ? undefined : gt(webhook.name, cursor);
  const rows = await reads
    .select(SHOWN)
    .from(webhook)
    .where(and(eq(webhook.tenantId, tenant), isAfter))
    .orderBy(asc(webhook.name))
    .limit(limit + 1);
  return toPage(rows.map(toRow), limit, ({ name }) => name);
}

export async function readWebhook(
  reads: Reads,
  tenant: string,
  name: string,
): Promise<WebhookRow | undefined> {
  const [row] = await reads
    .select(SHOWN)
    .from(webhook)
    .where(and(eq(webhook.tenantId, tenant), eq(webhook.name, name)));
  return row && toRow(row);
}

/** The newest first. */
export async function listWebhookFailures(
  reads: Reads,
  tenant: string,
  name: string,
): Promise<WebhookFailure[]> {
  const rows = await reads
    .select({ code: webhookFailure.code, detail: webhookFailure.detail, at: webhookFailure.at })
    .from(webhookFailure)
    .where(and(eq(webhookFailure.tenantId, tenant), eq(webhookFailure.webhook, name)))
    .orderBy(desc(webhookFailure.id));
  return rows.map(({ at, ...row }) => ({ ...row, at: isoTime(at) }));
}

function toRow({
  createdAt,
  updatedAt,
  ...row
}: Omit<WebhookRow, "createdAt" | "updatedAt"> & { createdAt: Date; updatedAt: Date }): WebhookRow {
  return { ...row, createdAt: isoTime(createdAt), updatedAt: isoTime(updatedAt) };
}
