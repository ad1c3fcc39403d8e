/**
 * Publishes events that were accepted while their tenant's shard could not take them: as it would have
 * then, but by the definitions of now, and only if the commit removes their messages.
 */
import type { AcceptedEventRow, MessageRow } from "../../database/message-rows.ts";
import type { StartCall } from "../../durable-objects/dispatcher/transitions.ts";
import type { Outcome } from "../../messages/message-queue.ts";
import { addEvent } from "../api/events.ts";
import type { Environment } from "../environment.ts";
import { callShardOnce, tryToStart } from "../shard-calls.ts";

export async function publishAccepted(
  env: Environment,
  tenant: string,
  messages: MessageRow[],
): Promise<ReadonlyMap<string, Outcome>> {
  const result = await tryToStart(
    env,
    tenant,
    (definitions): StartCall => {
      const bytes = messages.reduce((sum, { body }) => sum + JSON.stringify(body).length, 0);
      const call: StartCall = { events: [], runs: [], bytes, canComeAgain: true };
      for (const { id, body } of messages) {
        const { k: key, ik, p: payload, m: metadata } = body as unknown as AcceptedEventRow;
        const event = { key, payload, metadata, ...(ik !== undefined && { idempotencyKey: ik }) };
        addEvent(call, event, definitions, { id, q: true });
      }
      return call;
    },
    callShardOnce,
  );
  switch (result.kind) {
    case "started":
      return ofAll(messages, { kind: "done" });
    case "refused":
      return await publishHalves(env, tenant, messages, result.message);
    default:
      return ofAll(messages, { kind: "later", isTenantBusy: true });
  }
}

/** Postgres refuses one of them for good: the one that is found, alone, is it. */
async function publishHalves(
  env: Environment,
  tenant: string,
  messages: MessageRow[],
  message: string,
): Promise<ReadonlyMap<string, Outcome>> {
  if (messages.length <= 1) {
    return ofAll(messages, { kind: "refused", reason: { code: "refused", message } });
  }
  const middle = messages.length >> 1;
  const halves = [messages.slice(0, middle), messages.slice(middle)];
  const outcomes = await Promise.all(halves.map((half) => publishAccepted(env, tenant, half)));
  return new Map(outcomes.flatMap((half) => [...half]));
}

function ofAll(messages: MessageRow[], outcome: Outcome): Map<string, Outcome> {
  return new Map(messages.map(({ id }) => [id, outcome]));
}
