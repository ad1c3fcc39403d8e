/**
 * The name of a drain's Durable Object: its queue and the number of the partition, as with shards. A queue has a
 * partition in each database of the map, and the same number.
 */
import { QUEUES, type QueueName } from "../protocol/message-bodies.ts";

export interface DrainName {
  queue: QueueName;
  partition: number;
}

export function drainName({ queue, partition }: DrainName): string {
  return `${queue}/${partition}`;
}

export function parseDrainName(name: string | undefined): DrainName {
  const [word, partition] = name?.split("/") ?? [];
  const queue = QUEUES.find((known) => known === word);
  if (queue === undefined || partition === undefined || !/^\d+$/.test(partition)) {
    throw new Error(`"${name}" is not a drain's name; it must be queue/number`);
  }
  return { queue, partition: Number(partition) };
}
