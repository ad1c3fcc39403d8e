/**
 * Accepts events that their shard can't take now: durable at once, published when it can.
 */
import type { EventRow } from "../../database/rows.ts";
import { queryOverHttp } from "../../database/connect.ts";
import { classifyFailure } from "../../database/errors.ts";
import { acceptEvents } from "../../database/messages.ts";
import { databaseOf } from "../../database/tenant-database.ts";
import { messageQueueOf } from "../../messages/choice.ts";
import { ACCEPT_TIMEOUT_MS, MAX_ACCEPTED_EVENTS } from "../../messages/limits.ts";
import type { PublishedEvent } from "../../protocol/http.ts";
import type { Logger } from "../../telemetry/log.ts";
import { ProblemError } from "../api/problems.ts";
import type { Environment } from "../environment.ts";
import { refuseUncommitted, RETRY_LATER, SAME_KEY } from "../shard-calls.ts";
import { announceSent } from "./announce.ts";

/** Accepts all of them or none. */
export async function accept(
  env: Environment,
  log: Logger,
  tenant: string,
  events: EventRow[],
): Promise<PublishedEvent[]> {
  const database = databaseOf(env, tenant);
  const messages = messageQueueOf(env, database);
  const reply = await acceptEvents(queryOverHttp(database, ACCEPT_TIMEOUT_MS), tenant, {
    events: events.map(({ id, k, s, ik, p, m, ro }) => ({ id, k, s, ik, p, m, ro })),
    broker: messages.broker,
    at: Date.now(),
    most: MAX_ACCEPTED_EVENTS,
  }).catch(refuseUnanswered);
  if (reply === undefined) {
    throw new ProblemError(
      "overloaded",
      `${MAX_ACCEPTED_EVENTS} events wait to be published already. Try again.`,
      RETRY_LATER,
    );
  }
  await announceSent(messages, log, reply.sent);
  log.info("events.accepted", { tenant_id: tenant, count: events.length });
  return events.map(({ id }) => acceptedEvent(id, reply.known[id]));
}

function refuseUnanswered(error: unknown): never {
  if (classifyFailure(error) !== "unknown") throw error;
  return refuseUncommitted("unanswered", SAME_KEY);
}

/** An event that was not stored by this call: what is known of the one that was. */
export function acceptedEvent(
  id: string,
  known: { id: string; runs: string[] | null } | undefined,
): PublishedEvent {
  const { id: first, runs } = known ?? { id, runs: null };
  const created = first === id;
  return runs === null
    ? { id: first, created, runs: [], accepted: true }
    : { id: first, created, runs };
}
