/**
 * Cloudflare Queues as the broker: ids are sent to it once the transaction has committed, and it brings
 * them to the edge Worker. What it loses on the way, or gives up, the clock finds in Postgres.
 */
import type { Delivery, SentMessages } from "../database/message-rows.ts";
import type { QueueName } from "../protocol/message-bodies.ts";
import type { DeliveredBatch, MessageQueue, Settlement } from "./message-queue.ts";

/** What is in the broker's hands: which message, and whose. */
export interface MessageId {
  tenant: string;
  id: string;
}

/** Messages that one call of Cloudflare's takes. */
const SEND_BATCH = 100;

export class CloudflareQueue implements MessageQueue {
  readonly broker = "cloudflare-queues";
  readonly #producers: Record<QueueName, Queue<MessageId>>;

  constructor(producers: Record<QueueName, Queue<MessageId>>) {
    this.#producers = producers;
  }

  async announce(sent: readonly SentMessages[]): Promise<void> {
    for (const { queue, tenant, ids = [] } of sent) {
      if (tenant === undefined) continue; // sent while pgmq was the broker: its drain has it
      for (let at = 0; at < ids.length; at += SEND_BATCH) {
        const batch = ids.slice(at, at + SEND_BATCH).map((id) => ({ body: { tenant, id } }));
        await this.#producers[queue].sendBatch(batch);
      }
    }
  }
}

/** What Cloudflare has brought, in the common form. */
export class CloudflareBatch implements DeliveredBatch {
  readonly queue: QueueName;
  readonly deliveries: readonly Delivery[];
  readonly #messages: Map<Delivery, Message<MessageId>>;

  constructor(queue: QueueName, { messages }: MessageBatch<MessageId>) {
    this.queue = queue;
    this.#messages = new Map(
      messages.map((message) => {
        const { tenant, id } = message.body;
        return [{ tenant, id, reads: message.attempts }, message];
      }),
    );
    this.deliveries = [...this.#messages.keys()];
  }

  settle({ done, later }: Settlement): Promise<void> {
    for (const delivery of done) this.#messages.get(delivery)?.ack();
    for (const { delivery, delayMs } of later) {
      this.#messages.get(delivery)?.retry({ delaySeconds: Math.ceil(delayMs / 1_000) });
    }
    return Promise.resolve();
  }
}
