/**
 * The entry: what the platform calls. Requests go to the API, the clock to its duties, messages to whoever
 * handles them.
 */
import type { MessageId } from "../messages/cloudflare-queue.ts";
import { app } from "./api/app.ts";
import { everyMinute } from "./cron/every-minute.ts";
import type { Environment } from "./environment.ts";
import { takeBatch } from "./messages/take-batch.ts";

export { DispatcherShard } from "../durable-objects/dispatcher-shard.ts";
export { QueueDrain } from "./messages/queue-drain.ts";
export { ScheduleClock } from "./schedules/schedule-clock.ts";
export { OwnWorker } from "./notifications/own-worker.ts";

export default {
  fetch: app.fetch,
  scheduled: (_controller, env) => everyMinute(env),
  queue: (batch, env) => takeBatch(batch, env),
} satisfies ExportedHandler<Environment, MessageId>;
