/**
 * Which broker carries messages: one line of the configuration says so.
 */
import type { Database } from "../database/connect.ts";
import { BROKERS, type Broker } from "../database/message-rows.ts";
import { QUEUES, type QueueName } from "../protocol/message-bodies.ts";
import { CloudflareQueue, type MessageId } from "./cloudflare-queue.ts";
import { drainName } from "./drain-name.ts";
import type { MessageQueue } from "./message-queue.ts";
import { PgmqQueue } from "./pgmq-queue.ts";

/** What the platform gives to whoever sends messages: bindings of `wrangler.toml`. */
export interface MessageBindings {
  /** `pgmq`, the default, or `cloudflare-queues`. */
  MESSAGE_BROKER?: string | undefined;
  QUEUE_DRAIN: { getByName(name: string): { nudge(): Promise<void> } };
  /** Only where Cloudflare Queues is the broker. */
  COMMANDS_QUEUE?: Queue<MessageId> | undefined;
  EVENTS_QUEUE?: Queue<MessageId> | undefined;
}

/** A database by its number in the map. */
type Where = Pick<Database, "number">;

/** What carries the messages that are written to this database. */
export function messageQueueOf(env: MessageBindings, database: Where): MessageQueue {
  if (brokerOf(env) === "pgmq") {
    return new PgmqQueue(async (queue) => await nudgeDrain(env, queue, database));
  }
  const { COMMANDS_QUEUE: commands, EVENTS_QUEUE: events } = env;
  if (commands === undefined || events === undefined) {
    throw new Error(
      'MESSAGE_BROKER is "cloudflare-queues", and there are no bindings COMMANDS_QUEUE and EVENTS_QUEUE: deploy with "npm run deploy", which makes them.',
    );
  }
  return new CloudflareQueue({ commands, events });
}

/** Has the drain of a database's queue read it. */
export async function nudgeDrain(
  { QUEUE_DRAIN: drains }: Pick<MessageBindings, "QUEUE_DRAIN">,
  queue: QueueName,
  { number: partition }: Where,
): Promise<void> {
  await drains.getByName(drainName({ queue, partition })).nudge();
}

/** The queue of Skein's that a queue of Cloudflare's is, such as `skein-events`. */
export function queueOf(cloudflareName: string): QueueName {
  const found = QUEUES.find((queue) => cloudflareName.endsWith(`-${queue}`));
  if (found === undefined) throw new Error(`"${cloudflareName}" is no queue of Skein's`);
  return found;
}

function brokerOf({ MESSAGE_BROKER: said = "pgmq" }: MessageBindings): Broker {
  const broker = BROKERS.find((known) => known === said);
  if (broker !== undefined) return broker;
  throw new Error(`MESSAGE_BROKER is "${said}": it must be one of ${BROKERS.join(", ")}`);
}
