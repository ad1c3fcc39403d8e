/**
 * PGMQ as the broker: ids are rows of the very transaction that sends them, and one drain reads each queue.
 */
import type { Query } from "../database/connect.ts";
import type { SentMessages } from "../database/message-rows.ts";
import { type QueuedDelivery, readQueue, settleQueue } from "../database/messages.ts";
import type { QueueName } from "../protocol/message-bodies.ts";
import { HIDDEN_SECONDS, READ_BATCH } from "./limits.ts";
import type { DeliveredBatch, MessageQueue, Settlement } from "./message-queue.ts";

/** Has a queue's drain read it. */
export type NudgeDrain = (queue: QueueName) => Promise<void>;

export class PgmqQueue implements MessageQueue {
  readonly broker = "pgmq";
  readonly #nudge: NudgeDrain;

  constructor(nudge: NudgeDrain) {
    this.#nudge = nudge;
  }

  async announce(sent: readonly SentMessages[]): Promise<void> {
    const queues = new Set(sent.map(({ queue }) => queue));
    await Promise.all([...queues].map((queue) => this.#nudge(queue)));
  }
}

export interface PgmqRead {
  batch: DeliveredBatch;
  /** Milliseconds until there is more to be read; undefined: nothing is left. */
  nextMs: number | undefined;
}

/** Reads what is visible, and with `isFirst` what a reader before had in hand; then it is hidden. */
export async function readPgmq(
  query: Query,
  queue: QueueName,
  { isFirst = false, most = READ_BATCH }: { isFirst?: boolean; most?: number } = {},
): Promise<PgmqRead> {
  const how = { hiddenSeconds: HIDDEN_SECONDS, most, isFirst };
  const { read, nextMs } = await readQueue(query, queue, how);
  return { batch: new PgmqBatch(query, queue, read), nextMs };
}

class PgmqBatch implements DeliveredBatch {
  readonly queue: QueueName;
  readonly deliveries: readonly QueuedDelivery[];
  readonly #query: Query;

  constructor(query: Query, queue: QueueName, deliveries: QueuedDelivery[]) {
    this.#query = query;
    this.queue = queue;
    this.deliveries = deliveries;
  }

  async settle({ done, later }: Settlement): Promise<void> {
    const ended = new Set(done);
    const waits = new Map(later.map(({ delivery, delayMs }) => [delivery, delayMs]));
    await settleQueue(this.#query, this.queue, {
      done: this.deliveries.filter((delivery) => ended.has(delivery)).map(({ number }) => number),
      later: this.deliveries.flatMap((delivery) => {
        const ms = waits.get(delivery);
        return ms === undefined ? [] : [{ n: delivery.number, ms }];
      }),
    });
  }
}
