/**
 * Messages as the functions in `migrations/functions` take and give them. The row is the message; what a
 * broker carries is its id.
 */
import type { EventRow } from "./rows.ts";
import type { Json } from "../protocol/json.ts";
import type { DeadReason, QueueName } from "../protocol/message-bodies.ts";

/** What carries the ids of messages to those who handle them. */
export const BROKERS = ["pgmq", "cloudflare-queues"] as const;
export type Broker = (typeof BROKERS)[number];

/** What a transaction has sent to one queue. A broker outside of Postgres must be told the ids. */
export interface SentMessages {
  queue: QueueName;
  tenant?: string;
  ids?: string[];
}

/** A message that a broker has brought. */
export interface Delivery {
  tenant: string;
  id: string;
  /** How often it has been brought, from 1. */
  reads: number;
}

export interface MessageRow extends Delivery {
  queue: QueueName;
  kind: string;
  body: Json;
  sentAt: string;
}

/** A message that will never be taken, and why. */
export interface RefusedMessage {
  tenant: string;
  id: string;
  reason: DeadReason;
}

/** An event as it is accepted: its message's body, with the id that both have. */
export type AcceptedEventRow = Pick<EventRow, "id" | "k" | "s" | "ik" | "p" | "m" | "ro">;
