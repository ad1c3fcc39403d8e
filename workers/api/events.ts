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
import { type Started, startAtShard } from "../shard-calls.ts";
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
  responses: answers({ 201: ["Published", publishedEventsSchema] }, [
    ...BODY_PROBLEMS,
    "overloaded",
  ]),
});

export const events = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(publish, async (context) => {
    const started = await publishAll(context.env, context.var, [context.req.valid("json")]);
    const [event] = publishedEvents(started);
    if (event === undefined) throw new Error("A publication of one event published none");
    return event.created ? context.json(event, 201) : context.json(event, 200);
  })
  .openapi(publishMany, async (context) => {
    const { events: asked } = context.req.valid("json");
    const started = await publishAll(context.env, context.var, asked);
    return context.json({ events: publishedEvents(started) }, 201);
  });

function publishAll(
  env: AppTypes["Bindings"],
  { tenant, bodyBytes }: Pick<AppTypes["Variables"], "tenant" | "bodyBytes">,
  asked: PublishEvent[],
): Promise<Started> {
  return startAtShard(env, tenant, (definitions): StartCall => {
    const call: StartCall = { events: [], runs: [], bytes: bodyBytes };
    for (const event of asked) addEvent(call, event, definitions);
    return call;
  });
}

function addEvent(call: StartCall, event: PublishEvent, definitions: Definitions): void {
  const metadata = event.metadata ?? {};
  const payload = event.payload ?? null;
  const id = newId();
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
  };
  call.events.push(row);
  call.runs.push(...started);
}

function publishedEvents({ call, outcome }: Started): PublishedEvent[] {
  return call.events.map(({ id, r: started }) => {
    const existing = outcome.events[id];
    if (existing === undefined || existing === "stale") return { id, created: true, runs: started };
    return { id: existing.id, created: false, runs: existing.runs ?? [] };
  });
}
