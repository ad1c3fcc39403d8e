/**
 * Events: what is published starts a run of every workflow that listens, in the same commit.
 */
import { createRoute, OpenAPIHono } from "@hono/zod-openapi";
import type { EventRow, StartRow } from "../../database/rows.ts";
import type { StartCall } from "../../durable-objects/dispatcher/transitions.ts";
import type { PublishedEvent, PublishEvent } from "../../protocol/http.ts";
import { newId, newRunId } from "../../protocol/ids.ts";
import type { Definitions } from "../definitions/definitions.ts";
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
  description: "It is stored, and its runs are started, together. A run's input is the payload.",
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

function addEvent(call: StartCall, event: PublishEvent, { version, triggers }: Definitions): void {
  const metadata = event.metadata ?? {};
  const payload = event.payload ?? null;
  const id = newId();
  const started = matchEvent(event.key, triggers).map((listener): StartRow => ({
    id: newRunId(),
    w: listener.id,
    v: listener.version,
    d: version,
    n: listener.steps,
    e: id,
    i: payload,
    m: metadata,
  }));
  const row: EventRow = {
    id,
    k: event.key,
    ik: event.idempotencyKey,
    p: payload,
    m: metadata,
    d: version,
    r: started.map((run) => run.id),
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
