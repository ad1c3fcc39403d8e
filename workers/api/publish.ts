/**
 * Makes events durable and starts what they match, in one commit: whichever way they came in.
 */
import type { EventRow } from "../../database/rows.ts";
import type { StartCall } from "../../durable-objects/dispatcher/transitions.ts";
import type { PublishedEvent, PublishEvent } from "../../protocol/http.ts";
import { newId } from "../../protocol/ids.ts";
import { MAX_BODY_BYTES, MAX_RUNS_OF_EVENT } from "../../protocol/limits.ts";
import type { Definitions } from "../definitions/definitions.ts";
import { startRow } from "../definitions/start-row.ts";
import type { AppTypes } from "../environment.ts";
import { matchEvent } from "../matching/match-event.ts";
import { accept, acceptedEvent } from "../messages/accept-events.ts";
import { refuseStart, type Started, startAtShard, tryToStart } from "../shard-calls.ts";
import { ProblemError } from "./problems.ts";

/** An event to be published; `replayOf`: the one that it repeats. */
export interface ToPublish extends PublishEvent {
  replayOf?: string;
}

/** In their order; each once by its idempotency key. `bytes` is what the request had. */
export async function publishEvents(
  env: AppTypes["Bindings"],
  tenant: string,
  asked: ToPublish[],
  bytes: number,
): Promise<PublishedEvent[]> {
  return publishedEvents(await startAtShard(env, tenant, callOf(asked, bytes)));
}

/** The same; those that the shard can't take now are accepted, and published when it can. */
export async function publishOrAccept(
  env: AppTypes["Bindings"],
  { tenant, bodyBytes, log }: Pick<AppTypes["Variables"], "tenant" | "bodyBytes" | "log">,
  asked: ToPublish[],
): Promise<PublishedEvent[]> {
  const result = await tryToStart(env, tenant, callOf(asked, bodyBytes));
  if (result.kind === "started") return publishedEvents(result);
  if (result.kind === "refused") return refuseStart(result);
  return await accept(env, log, tenant, result.call.events);
}

function callOf(asked: ToPublish[], bytes: number): (definitions: Definitions) => StartCall {
  return (definitions) => {
    const call: StartCall = { events: [], runs: [], bytes };
    for (const event of asked) addEvent(call, event, definitions);
    return call;
  };
}

/** `known`: of an event that has its id, because it was accepted as a message. */
export function addEvent(
  call: StartCall,
  event: ToPublish,
  definitions: Definitions,
  known?: { id: string; q: true },
): void {
  const { key, scope, payload = null, metadata = {} } = event;
  const id = known?.id ?? newId();
  const { starts, failures } = matchEvent(
    { id, key, scope, payload, metadata },
    definitions.triggers,
  );
  if (starts.length > 1) refuseTooMany(event, starts.length);
  const started = starts.map(({ listener, filter }) =>
    startRow(definitions, listener, {
      i: payload,
      m: metadata,
      e: id,
      ...(filter && { f: filter.id, fp: filter.payload }),
    }),
  );
  const row: EventRow = {
    id,
    k: key,
    s: scope,
    ik: event.idempotencyKey,
    p: payload,
    m: metadata,
    d: definitions.version,
    r: started.map((run) => run.id),
    ro: event.replayOf,
    c: definitions.awaited.get(key),
    l: definitions.lookedBackAt.has(key) ? true : undefined,
    ...(known && { q: known.q }),
    ...(failures.length > 0 && {
      f: failures.map(({ filter, error }) => ({ f: filter, e: error })),
    }),
  };
  call.events.push(row);
  call.runs.push(...started);
}

/** An event, its runs and their inputs are one commit. */
function refuseTooMany({ key, payload }: ToPublish, runs: number): void {
  const bytes = runs > MAX_RUNS_OF_EVENT ? 0 : JSON.stringify(payload ?? null).length * runs;
  if (runs <= MAX_RUNS_OF_EVENT && bytes <= 2 * MAX_BODY_BYTES) return;
  throw new ProblemError(
    "too_many_matches",
    `The event ${key} would start ${runs} runs at once${bytes > 0 ? `, with ${bytes} bytes of input` : ""}. One event starts ${MAX_RUNS_OF_EVENT} runs at most, with ${2 * MAX_BODY_BYTES} bytes. Make filters narrower, or have one run start the others as its children.`,
  );
}

function publishedEvents({ call, outcome }: Started): PublishedEvent[] {
  return call.events.map(({ id, r: started }) => {
    const existing = outcome.events[id];
    if (existing === undefined || existing === "stale") return { id, created: true, runs: started };
    // One that waits to be published has no runs yet.
    return acceptedEvent(id, existing);
  });
}
