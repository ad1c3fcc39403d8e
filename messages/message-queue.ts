/**
 * What a broker does for messages, whichever it is: it brings their ids, at least once, to whoever handles
 * them. It never carries a message, which is a row in Postgres; so what it loses is found there, and what it
 * brings twice is not there any more.
 */
import type { Broker, Delivery, SentMessages } from "../database/message-rows.ts";
import type { DeadReason, QueueName } from "../protocol/message-bodies.ts";

export interface MessageQueue {
  /** By this name the functions of `migrations/` leave ids with it. */
  readonly broker: Broker;
  /** Has it bring what a transaction has sent, once that has committed. Harmless to repeat or to forget. */
  announce(sent: readonly SentMessages[]): Promise<void>;
}

/** What became of a message. */
export type Outcome =
  | { kind: "done" }
  /** It is brought again, after this or after a wait that grows with its reads. */
  | {
      kind: "later";
      delayMs?: number;
      /** It is not this message: its tenant can take none now, and the others needn't be tried. */
      isTenantBusy?: boolean;
    }
  /** It would be refused again, whenever. */
  | { kind: "refused"; reason: DeadReason };

/** What is brought at once. */
export interface DeliveredBatch {
  readonly queue: QueueName;
  /** In the order in which they were sent, as far as the broker knows it. */
  readonly deliveries: readonly Delivery[];
  /** Tells the broker what is done, and how many milliseconds to wait with what is not. */
  settle(settlement: Settlement): Promise<void>;
}

export interface Settlement {
  done: Delivery[];
  later: { delivery: Delivery; delayMs: number }[];
}
