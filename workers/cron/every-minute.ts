/**
 * The duties of the clock, once a minute: partitions ahead of time, expired idempotency keys, and a
 * nudge to every shard that has tasks or due timers, and to the broker of messages that nobody has taken. The
 * only poll in the system: one query for all tenants; and one by itself for history that is past, so that its
 * lock is held for nothing else.
 */
import { queryOverHttp } from "../../database/connect.ts";
import { runClockDuties } from "../../database/functions.ts";
import { dropHistory } from "../../database/retention.ts";
import type { SentMessages } from "../../database/message-rows.ts";
import { messageQueueOf, nudgeDrain } from "../../messages/choice.ts";
import { createLogger, errorFields, type Logger } from "../../telemetry/log.ts";
import type { Environment } from "../environment.ts";
import { nudgeShards } from "../shard-calls.ts";

export async function everyMinute(env: Environment): Promise<void> {
  const log = createLogger({}, env.LOG_LEVEL);
  const messages = messageQueueOf(env);
  const duties = await runClockDuties(queryOverHttp(env), messages.broker);
  const { partitions, forgotten, busy, waiting } = duties;
  if (partitions > 0) log.info("partitions.created", { count: partitions });
  await Promise.all([nudgeShards(env, log, busy), announceWaiting(env, log, waiting)]);
  await dropOldHistory(env, log);
  log.debug("clock.ticked", { partitions, forgotten, nudged: busy.length });
}

/** It waits for nothing: a month that can't be dropped now is dropped a minute later. */
async function dropOldHistory(env: Environment, log: Logger): Promise<void> {
  try {
    const partition = await dropHistory(queryOverHttp(env));
    if (partition !== undefined) log.info("history.dropped", { partition });
  } catch (error) {
    log.warn("history.not_dropped", errorFields(error));
  }
}

/** What is in pgmq is its drains' whichever the broker is now: it may have been another. */
async function announceWaiting(
  env: Environment,
  log: Logger,
  waiting: SentMessages[],
): Promise<void> {
  const told = waiting.filter(({ tenant }) => tenant !== undefined);
  const queues = new Set(
    waiting.filter(({ tenant }) => tenant === undefined).map(({ queue }) => queue),
  );
  try {
    await Promise.all([...queues].map((queue) => nudgeDrain(env, queue)));
    if (told.length > 0) await messageQueueOf(env).announce(told);
  } catch (error) {
    log.warn("messages.not_announced", errorFields(error));
  }
}
