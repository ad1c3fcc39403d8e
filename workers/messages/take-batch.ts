/**
 * Takes what Cloudflare Queues brings. A batch that can't be handled at all is brought again by the platform,
 * a hundred times; after that the clock finds its messages in Postgres.
 */
import { queryOverHttp } from "../../database/connect.ts";
import { queueOf } from "../../messages/choice.ts";
import { CloudflareBatch, type MessageId } from "../../messages/cloudflare-queue.ts";
import { consume } from "../../messages/consume.ts";
import { QUERY_TIMEOUT_MS } from "../../messages/limits.ts";
import { createLogger } from "../../telemetry/log.ts";
import type { Environment } from "../environment.ts";
import { handlersOf } from "./handlers.ts";

export async function takeBatch(batch: MessageBatch<MessageId>, env: Environment): Promise<void> {
  const queue = queueOf(batch.queue);
  const log = createLogger({ queue }, env.LOG_LEVEL);
  const {
    busy,
    back: _back,
    ...counts
  } = await consume(new CloudflareBatch(queue, batch), {
    query: queryOverHttp(env, QUERY_TIMEOUT_MS),
    log,
    handlerOf: handlersOf(env),
  });
  log.info("batch.taken", { ...counts, busy_tenants: busy.size });
}
