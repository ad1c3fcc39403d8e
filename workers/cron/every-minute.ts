/**
 * The duties of the clock, once a minute: partitions ahead of time, expired idempotency keys, and a
 * nudge to every shard that has tasks or due timers, to the clocks of schedules that are due, and to the broker of
 * messages that nobody has taken. The only poll in the system: one query for all tenants of a database; and one by itself for
 * history that is past, so that its lock is held for nothing else.
 */
import { type Database, queryOverHttp } from "../../database/connect.ts";
import { runClockDuties } from "../../database/functions.ts";
import { dropHistory } from "../../database/retention.ts";
import { allDatabases } from "../../database/tenant-database.ts";
import type { SentMessages } from "../../database/message-rows.ts";
import { messageQueueOf, nudgeDrain } from "../../messages/choice.ts";
import { createLogger, errorFields, type Logger } from "../../telemetry/log.ts";
import type { Environment } from "../environment.ts";
import { nudgeClock } from "../schedules/schedule-clock.ts";
import { nudgeShards } from "../shard-calls.ts";
import { learnPlaces } from "../tenant-objects.ts";

/**
 * Of each kind, at one database. Each is a call, of which an invocation has 10,000 (docs/scaling.md), and each
 * object that was asleep opens a connection. Who is left out has its turn in another minute.
 */
const MAX_NUDGED = 1_000;

const MINUTE_MS = 60_000;

export async function everyMinute(env: Environment): Promise<void> {
  const log = createLogger({}, env.LOG_LEVEL);
  const ended = await Promise.allSettled(
    allDatabases(env).map((database) => tendDatabase(env, log, database)),
  );
  // One that can't be reached keeps no other from being seen to.
  for (const one of ended) if (one.status === "rejected") throw one.reason;
}

async function tendDatabase(env: Environment, log: Logger, database: Database): Promise<void> {
  const messages = messageQueueOf(env, database);
  const duties = await runClockDuties(queryOverHttp(database), {
    broker: messages.broker,
    most: MAX_NUDGED,
    turn: Math.floor(Date.now() / MINUTE_MS),
  });
  const { partitions, forgotten, busy, waiting, overdue } = duties;
  if (partitions > 0) log.info("partitions.created", { count: partitions });
  for (const [what, { length }] of Object.entries({ busy, overdue })) {
    if (length >= MAX_NUDGED) log.warn("clock.full", { what, nudged: length });
  }
  await learnPlaces(env, log, [...busy.map(({ tenant }) => tenant), ...overdue]);
  await Promise.all([
    nudgeShards(env, log, busy),
    announceWaiting(env, log, database, waiting),
    ...overdue.map((tenant) => nudgeClock(env, log, tenant, Date.now())),
  ]);
  await dropOldHistory(log, database);
  log.debug("clock.ticked", { partitions, forgotten, nudged: busy.length });
}

/** It waits for nothing: a month that can't be dropped now is dropped a minute later. */
async function dropOldHistory(log: Logger, database: Database): Promise<void> {
  try {
    const partition = await dropHistory(queryOverHttp(database));
    if (partition !== undefined) log.info("history.dropped", { partition });
  } catch (error) {
    log.warn("history.not_dropped", errorFields(error));
  }
}

/** What is in pgmq is its drains' whichever the broker is now: it may have been another. */
async function announceWaiting(
  env: Environment,
  log: Logger,
  database: Database,
  waiting: SentMessages[],
): Promise<void> {
  const told = waiting.filter(({ tenant }) => tenant !== undefined);
  const queues = new Set(
    waiting.filter(({ tenant }) => tenant === undefined).map(({ queue }) => queue),
  );
  try {
    await Promise.all([...queues].map((queue) => nudgeDrain(env, queue, database)));
    if (told.length > 0) await messageQueueOf(env, database).announce(told);
  } catch (error) {
    log.warn("messages.not_announced", errorFields(error));
  }
}
