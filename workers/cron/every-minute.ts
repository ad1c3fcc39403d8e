/**
 * The duties of the clock, once a minute: partitions ahead of time, expired idempotency keys, and a
 * nudge to every shard that has tasks or due timers. The only poll in the system: one query for all tenants.
 */
import { queryOverHttp } from "../../database/connect.ts";
import { runClockDuties } from "../../database/functions.ts";
import { createLogger } from "../../telemetry/log.ts";
import type { Environment } from "../environment.ts";
import { nudgeShards } from "../shard-calls.ts";

export async function everyMinute(env: Environment): Promise<void> {
  const log = createLogger({}, env.LOG_LEVEL);
  const { partitions, forgotten, busy } = await runClockDuties(queryOverHttp(env));
  if (partitions > 0) log.info("partitions.created", { count: partitions });
  await nudgeShards(env, log, busy);
  log.debug("clock.ticked", { partitions, forgotten, nudged: busy.length });
}
