/**
 * The SQL functions that messages go through, each as one typed function.
 */
import type { Query } from "./connect.ts";
import type {
  AcceptedEventRow,
  Broker,
  Delivery,
  MessageRow,
  RefusedMessage,
  SentMessages,
} from "./message-rows.ts";
import type { QueueName } from "../protocol/message-bodies.ts";

export interface AcceptReply {
  /** Events that were published or accepted before; runs are null of one that waits. */
  known: Record<string, { id: string; runs: string[] | null }>;
  sent: SentMessages[];
}

/** Undefined: `most` events of the tenant wait already, and none of these is accepted. */
export async function acceptEvents(
  query: Query,
  tenant: string,
  request: { events: AcceptedEventRow[]; broker: Broker; at: number; most: number },
): Promise<AcceptReply | undefined> {
  const [row] = await query("select v1.accept_events($1, $2, $3::jsonb, $4, $5) as reply", [
    tenant,
    new Date(request.at).toISOString(),
    JSON.stringify(request.events),
    request.broker,
    request.most,
  ]);
  return (row?.["reply"] ?? undefined) as AcceptReply | undefined;
}

/** A message in a queue of pgmq: `number` is its place there. */
export interface QueuedDelivery extends Delivery {
  number: number;
}

export interface ReadQueueReply {
  read: QueuedDelivery[];
  /** Milliseconds until more can be read; undefined: nothing is left. */
  nextMs: number | undefined;
}

const NOTHING_READ = { read: [], next: null };

export async function readQueue(
  query: Query,
  queue: QueueName,
  { hiddenSeconds, most, isFirst }: { hiddenSeconds: number; most: number; isFirst: boolean },
): Promise<ReadQueueReply> {
  const [row] = await query("select v1.read_queue($1, $2, $3, $4) as reply", [
    queue,
    hiddenSeconds,
    most,
    isFirst,
  ]);
  type Reply = { read: (Delivery & { n: number })[]; next: number | null };
  const { read, next } = (row?.["reply"] ?? NOTHING_READ) as Reply;
  return {
    read: read.map(({ n: number, ...delivery }) => ({ number, ...delivery })),
    nextMs: next ?? undefined,
  };
}

/** Makes what was put off of a tenant's readable at once. */
export async function showQueue(query: Query, queue: QueueName, tenant: string): Promise<void> {
  await query("select v1.show_queue($1, $2)", [queue, tenant]);
}

export async function settleQueue(
  query: Query,
  queue: QueueName,
  { done, later }: { done: number[]; later: { n: number; ms: number }[] },
): Promise<void> {
  await query("select v1.settle_queue($1, $2::bigint[], $3::jsonb)", [
    queue,
    done,
    JSON.stringify(later),
  ]);
}

/**
 * The messages that were brought, but those that have been handled or are dead. `left`: those that are more
 * than the bytes allow.
 */
export async function openMessages(
  query: Query,
  brought: Delivery[],
  bytes: number,
): Promise<{ opened: MessageRow[]; left: string[] }> {
  const [row] = await query("select v1.open_messages($1::jsonb, $2) as reply", [
    JSON.stringify(brought.map(({ tenant, id, reads }) => ({ tenant, id, reads }))),
    bytes,
  ]);
  return row?.["reply"] as { opened: MessageRow[]; left: string[] };
}

export async function buryMessages(query: Query, refused: RefusedMessage[]): Promise<void> {
  await query("select v1.bury_messages($1::jsonb)", [JSON.stringify(refused)]);
}

/** Sends those of the messages that are dead again. */
export async function resendMessages(
  query: Query,
  tenant: string,
  ids: string[],
  broker: Broker,
): Promise<{ ids: string[]; sent: SentMessages[] }> {
  const [row] = await query("select v1.resend_messages($1, $2::uuid[], $3) as reply", [
    tenant,
    ids,
    broker,
  ]);
  return row?.["reply"] as { ids: string[]; sent: SentMessages[] };
}

/** Deletes those of the messages that are dead; says which they were. */
export async function deleteMessages(
  query: Query,
  tenant: string,
  ids: string[],
): Promise<string[]> {
  const text = "select to_json(v1.delete_messages($1, $2::uuid[])) as reply";
  const [row] = await query(text, [tenant, ids]);
  return row?.["reply"] as string[];
}
