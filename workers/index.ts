/**
 * The entry: what the platform calls. Requests go to the API, the clock to its duties.
 */
import { app } from "./api/app.ts";
import { everyMinute } from "./cron/every-minute.ts";
import type { Environment } from "./environment.ts";

export { DispatcherShard } from "../durable-objects/dispatcher-shard.ts";
export { OwnWorker } from "./notifications/own-worker.ts";

export default {
  fetch: app.fetch,
  scheduled: (_controller, env) => everyMinute(env),
} satisfies ExportedHandler<Environment>;
