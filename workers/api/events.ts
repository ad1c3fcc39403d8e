/**
 * Events: what is published starts a run of every workflow that listens, in the same commit.
 */
import { createRoute, OpenAPIHono } from "@hono/zod-openapi";
import type { EventRow } from "../../database/rows.ts";
import type { StartCall } from "../../durable-objects/dispatcher/transitions.ts";
import type { PublishedEvent, PublishEvent } from "../../protocol/http.ts";
import { newId } from "../../protocol/ids.ts";
import type { Definitions } from "../definitions/definitions.ts";
import { startRow } from "../definitions/start-row.ts";
import type { AppTypes } from "../environment.ts";
import { matchEvent } from "../matching/match-event.ts";
import { accept, acceptedEvent } from "../messages/accept-events.ts";
import { refuseStart, type Started, tryToStart } from "../shard-calls.ts";
import { answers, BODY_PROBLEMS, json, refuseInvalid } from "./openapi.ts";
import {
  publishedEventSchema,
  publishedEventsSchema,
  publishEventSchema,
  publishEventsSchema,
} from "./schemas.ts";

const publish = createRoute({
  method: "post",
  path: "/events",
  tags: ["Events"],
  operationId: "publishEvent",
  summary: "Publish an event",
  description:
    "It is stored, and its runs are started, together. A run's input is the payload. A workflow that is paused with `drop` is not started. Runs that the event cancels, by their workflow's `cancelOn`, are cancelled right after.",
  request: { body: json(publishEventSchema) },
  responses: answers(
    {
      200: ["The event that had this idempotency key", publishedEventSchema],
      201: ["Published", publishedEventSchema],
      202: ["Accepted: it is durable, and will be published", publishedEventSchema],
    },
    [...BODY_PROBLEMS, "overloaded"],
  ),
});

const publishMany = createRoute({
  method: "post",
  path: "/events/bulk",
  tags: ["Events"],
  operationId: "publishEvents",
  summary: "Publish up to 1,000 events",
  description: "All or none. In the order given.",
  request: { body: json(publishEventsSchema) },
  responses: answers(
    {
      201: ["Published", publishedEventsSchema],
      202: ["Accepted: they are durable, and will be published", publishedEventsSchema],
    },
    [...BODY_PROBLEMS, "overloaded"],
  ),
});

export const events = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(publish, async (context) => {
    const [event] = await publishAll(context.env, context.var, [context.req.valid("json")]);
    if (event === undefined) throw new Error("A publication of one event published none");
    if (event.accepted) return context.json(event, 202);
    return event.created ? context.json(event, 201) : context.json(event, 200);
  })
  .openapi(publishMany, async (context) => {
    const { events: asked } = context.req.valid("json");
    const published = await publishAll(context.env, context.var, asked);
    const isAccepted = published.some(({ accepted }) => accepted);
    return context.json({ events: published }, isAccepted ? 202 : 201);
  });

/** Publishes events; those that the shard can't take now are accepted, and published when it can. */
async function publishAll(
  env: AppTypes["Bindings"],
  { tenant, bodyBytes, log }: Pick<AppTypes["Variables"], "tenant" | "bodyBytes" | "log">,
  asked: PublishEvent[],
): Promise<PublishedEvent[]> {
  const result = await tryToStart(env, tenant, (definitions): StartCall => {
    const call: StartCall = { events: [], runs: [], bytes: bodyBytes };
    for (const event of asked) addEvent(call, event, definitions);
    return call;
  });
  if (result.kind === "started") return publishedEvents(result);
  if (result.kind === "refused") return refuseStart(result);
  return await accept(env, log, tenant, result.call.events);
}

/** `known`: of an event that has its id, because it was accepted as a message. */
export function addEvent(
  call: StartCall,
  event: PublishEvent,
  definitions: Definitions,
  known?: { id: string; q: true },
): void {
  const metadata = event.metadata ?? {};
  const payload = event.payload ?? null;
  const id = known?.id ?? newId();
  const started = matchEvent(event.key, definitions.triggers).map((listener) =>
    startRow(definitions, listener, { i: payload, m: metadata, e: id }),
  );
  const row: EventRow = {
    id,
    k: event.key,
    ik: event.idempotencyKey,
    p: payload,
    m: metadata,
    d: definitions.version,
    r: started.map((run) => run.id),
    c: definitions.awaited.get(event.key),
    ...(known && { q: known.q }),
  };
  call.events.push(row);
  call.runs.push(...started);
}

function publishedEvents({ call, outcome }: Started): PublishedEvent[] {
  return call.events.map(({ id, r: started }) => {
    const existing = outcome.events[id];
    if (existing === undefined || existing === "stale") return { id, created: true, runs: started };
    // One that waits to be published has no runs yet.
    return acceptedEvent(id, existing);
  });
}
