/**
 * Takes what Cloudflare Queues brings. A batch that can't be handled at all is brought again by the platform,
 * a hundred times; after that the clock finds its messages in Postgres.
 */
import { queryOverHttp } from "../../database/connect.ts";
import { databaseOf, numberedDatabase } from "../../database/tenant-database.ts";
import { queueOf } from "../../messages/choice.ts";
import { CloudflareBatch, type MessageId } from "../../messages/cloudflare-queue.ts";
import { consume } from "../../messages/consume.ts";
import type { DeliveredBatch } from "../../messages/message-queue.ts";
import { QUERY_TIMEOUT_MS } from "../../messages/limits.ts";
import { createLogger } from "../../telemetry/log.ts";
import type { Environment } from "../environment.ts";
import { handlersOf } from "./handlers.ts";

export async function takeBatch(batch: MessageBatch<MessageId>, env: Environment): Promise<void> {
  const queue = queueOf(batch.queue);
  const log = createLogger({ queue }, env.LOG_LEVEL);
  const brought = new CloudflareBatch(queue, batch);
  for (const part of partsOf(brought, (tenant) => databaseOf(env, tenant).number)) {
    const query = queryOverHttp(numberedDatabase(env, part.database), QUERY_TIMEOUT_MS);
    const parts = { query, log, handlerOf: handlersOf(env) };
    const { busy, back: _back, ...counts } = await consume(part, parts);
    log.info("batch.taken", { ...counts, busy_tenants: busy.size });
  }
}

/** The messages of each database by themselves: a batch brings those of all tenants. */
function partsOf(
  batch: DeliveredBatch,
  databaseNumber: (tenant: string) => number,
): (DeliveredBatch & { database: number })[] {
  const byDatabase = Map.groupBy(batch.deliveries, ({ tenant }) => databaseNumber(tenant));
  return [...byDatabase].map(([database, deliveries]) => ({
    database,
    queue: batch.queue,
    deliveries,
    settle: (settlement) => batch.settle(settlement),
  }));
}
