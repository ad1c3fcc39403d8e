/**
 * Bodies of the HTTP API that are about messages, as the SDK and the edge Worker share them.
 */
import type { Json } from "./json.ts";

/** Queues that messages are handled from. */
export const QUEUES = ["commands", "events"] as const;
export type QueueName = (typeof QUEUES)[number];

/** Why a message is dead. */
export const DEAD_CODES = [
  "refused", // Postgres would refuse it again
  "unknown_kind", // nobody here handles such messages
] as const;
export type DeadCode = (typeof DEAD_CODES)[number];

export interface DeadReason {
  code: DeadCode;
  message: string;
}

/** A message that was refused for good. It stays until it is sent again or deleted. */
export interface DeadMessage {
  /** Of an event that was accepted: the event's id. */
  id: string;
  /** The queue it was in. */
  queue: QueueName;
  /** What it is: `event`. */
  kind: string;
  reason: DeadReason;
  /** How often it had been read. */
  reads: number;
  sentAt: string;
  diedAt: string;
}

export interface DeadMessageWithBody extends DeadMessage {
  body: Json;
}

/** The messages that a call was about: those of the ids that were dead. */
export interface ChangedMessages {
  ids: string[];
}

/** One queue of a tenant, as it is now. */
export interface QueueState {
  name: QueueName | "dead";
  /** Messages in it. */
  depth: number;
  /** When the oldest of them was sent, and milliseconds since then; null when it is empty. */
  oldestSentAt: string | null;
  oldestAgeMs: number | null;
  /** How often one of them has been read, on average and at most: more than 1 says that some had to wait. */
  readsPerMessage: number | null;
  mostReads: number | null;
}
