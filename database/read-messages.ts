/**
 * Messages as the API shows them: the dead, and how deep queues are. Each within one tenant.
 */
import { and, asc, eq, gt, isNotNull, sql } from "drizzle-orm";
import type { Page } from "../protocol/http.ts";
import {
  type DeadMessage,
  type DeadMessageWithBody,
  type DeadReason,
  QUEUES,
  type QueueState,
} from "../protocol/message-bodies.ts";
import { type Reads, toPage } from "./reads.ts";
import { message } from "./schema.ts";

const deadColumns = {
  id: message.id,
  queue: message.queue,
  kind: message.kind,
  reason: message.reason,
  reads: message.reads,
  sentAt: message.sentAt,
  diedAt: message.diedAt,
};

/** In the order in which they were sent. */
export async function listDeadMessages(
  reads: Reads,
  tenant: string,
  { limit, cursor, kind }: { limit: number; cursor?: string; kind?: string },
): Promise<Page<DeadMessage>> {
  const rows = await reads
    .select(deadColumns)
    .from(message)
    .where(
      and(
        isDeadOf(tenant),
        kind === undefined ? undefined : eq(message.kind, kind),
        cursor === undefined ? undefined : gt(message.id, cursor),
      ),
    )
    .orderBy(asc(message.id))
    .limit(limit + 1);
  return toPage(rows.map(toDeadMessage), limit, ({ id }) => id);
}

export async function readDeadMessage(
  reads: Reads,
  tenant: string,
  id: string,
): Promise<DeadMessageWithBody | undefined> {
  const [row] = await reads
    .select({ ...deadColumns, body: message.body })
    .from(message)
    .where(and(isDeadOf(tenant), eq(message.id, id)));
  return row && { ...toDeadMessage(row), body: row.body };
}

/** Every queue, also those that are empty. */
export async function readQueueStates(
  reads: Reads,
  tenant: string,
  now: number,
): Promise<QueueState[]> {
  const name = sql<string>`case when ${message.diedAt} is null then ${message.queue} else 'dead' end`;
  const rows = await reads
    .select({
      name,
      depth: sql<number>`count(*)::integer`,
      oldest: sql<string>`min(${message.sentAt})`,
      average: sql<number>`avg(${message.reads})::double precision`,
      most: sql<number>`max(${message.reads})`,
    })
    .from(message)
    .where(eq(message.tenantId, tenant))
    .groupBy(sql`1`);
  return [...QUEUES, "dead" as const].map((queue) => {
    const row = rows.find((found) => found.name === queue);
    const sentAt = row && new Date(row.oldest);
    return {
      name: queue,
      depth: row?.depth ?? 0,
      oldestSentAt: sentAt?.toISOString() ?? null,
      oldestAgeMs: sentAt === undefined ? null : Math.max(0, now - sentAt.getTime()),
      readsPerMessage: row?.average ?? null,
      mostReads: row?.most ?? null,
    };
  });
}

function isDeadOf(tenant: string) {
  return and(eq(message.tenantId, tenant), isNotNull(message.diedAt));
}

function toDeadMessage({
  id,
  queue,
  kind,
  reason,
  reads,
  sentAt,
  diedAt,
}: {
  id: string;
  queue: DeadMessage["queue"];
  kind: string;
  reason: DeadReason | null;
  reads: number;
  sentAt: Date;
  diedAt: Date | null;
}): DeadMessage {
  if (reason === null || diedAt === null) throw new Error(`Message ${id} is not dead`);
  const times = { sentAt: sentAt.toISOString(), diedAt: diedAt.toISOString() };
  return { id, queue, kind, reason, reads, ...times };
}
