/**
 * Publishes events that were accepted while their tenant's shard could not take them: as it would have
 * then, but by the definitions of now, and only if the commit removes their messages.
 */
import type { AcceptedEventRow, MessageRow } from "../../database/message-rows.ts";
import type { StartCall } from "../../durable-objects/dispatcher/transitions.ts";
import type { Outcome } from "../../messages/message-queue.ts";
import { MAX_BULK } from "../../protocol/limits.ts";
import { ProblemError } from "../api/problems.ts";
import { addEvent, type ToPublish } from "../api/publish.ts";
import type { Definitions } from "../definitions/definitions.ts";
import type { Environment } from "../environment.ts";
import { callShardOnce, type StartResult, tryToStart } from "../shard-calls.ts";

type Outcomes = ReadonlyMap<string, Outcome>;

export async function publishAccepted(
  env: Environment,
  tenant: string,
  messages: MessageRow[],
): Promise<Outcomes> {
  const result = await publishTogether(env, tenant, messages);
  switch (result.kind) {
    case "started":
      return ofAll(messages, { kind: "done" });
    case "refused":
      return await publishHalves(env, tenant, messages, result.message);
    default:
      return ofAll(messages, { kind: "later", isTenantBusy: true });
  }
}

async function publishTogether(
  env: Environment,
  tenant: string,
  messages: MessageRow[],
): Promise<StartResult> {
  const build = (definitions: Definitions): StartCall => callOf(messages, definitions);
  try {
    return await tryToStart(env, tenant, build, callShardOnce);
  } catch (error) {
    // One of them starts too many runs; or all of them together do.
    if (!(error instanceof ProblemError)) throw error;
    return { kind: "refused", message: error.message };
  }
}

function callOf(messages: MessageRow[], definitions: Definitions): StartCall {
  const bytes = messages.reduce((sum, { body }) => sum + JSON.stringify(body).length, 0);
  const call: StartCall = { events: [], runs: [], bytes, canComeAgain: true };
  for (const { id, body } of messages) addEvent(call, eventOf(body), definitions, { id, q: true });
  if (call.runs.length > MAX_BULK && messages.length > 1) {
    const what = `${messages.length} events start ${call.runs.length} runs`;
    throw new ProblemError("too_many_matches", `${what}: too many for one commit.`);
  }
  return call;
}

function eventOf(body: MessageRow["body"]): ToPublish {
  const { k: key, s: scope, ik, p: payload, m: metadata, ro } = body as unknown as AcceptedEventRow;
  return {
    key,
    payload,
    metadata,
    ...(scope !== undefined && { scope }),
    ...(ik !== undefined && { idempotencyKey: ik }),
    ...(ro !== undefined && { replayOf: ro }),
  };
}

/** One of them is refused for good: the one that is found, alone, is it. */
async function publishHalves(
  env: Environment,
  tenant: string,
  messages: MessageRow[],
  message: string,
): Promise<Outcomes> {
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
