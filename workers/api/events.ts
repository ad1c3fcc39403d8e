/**
 * Events: what is published starts runs, in the same commit. And those that were: lists, one, and again.
 */
import { createRoute, OpenAPIHono } from "@hono/zod-openapi";
import {
  findEvents,
  listEvents,
  type OriginalEvent,
  readEvent,
  readOriginalEvents,
} from "../../database/read-events.ts";
import { connectReads } from "../../database/reads.ts";
import { databaseOf } from "../../database/tenant-database.ts";
import { MAX_BY_FILTER } from "../../protocol/limits.ts";
import type { AppTypes } from "../environment.ts";
import { idOfFirstCall, takeFitting } from "./by-filter.ts";
import { pageOf } from "./fields.ts";
import {
  eventSchema,
  eventSummarySchema,
  idParameters,
  listEventsQuery,
  replayedEventsSchema,
  replayEventSchema,
  replayEventsSchema,
} from "./filter-schemas.ts";
import { answers, BODY_PROBLEMS, json, optionalJson, refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";
import { publishEvents, publishOrAccept, type ToPublish } from "./publish.ts";
import {
  publishedEventSchema,
  publishedEventsSchema,
  publishEventSchema,
  publishEventsSchema,
} from "./schemas.ts";
import { readsOf } from "./tenant-data.ts";

const publish = createRoute({
  method: "post",
  path: "/events",
  tags: ["Events"],
  operationId: "publishEvent",
  summary: "Publish an event",
  description:
    "It is stored, and its runs are started, together. A run's input is the payload. A workflow with filters is started once for each that the event meets. A workflow that is paused with `drop` is not started. Runs that the event cancels, by their workflow's `cancelOn`, are cancelled right after.",
  request: { body: json(publishEventSchema) },
  responses: answers(
    {
      200: ["The event that had this idempotency key", publishedEventSchema],
      201: ["Published", publishedEventSchema],
      202: ["Accepted: it is durable, and will be published", publishedEventSchema],
    },
    [...BODY_PROBLEMS, "too_many_matches", "overloaded"],
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
    [...BODY_PROBLEMS, "too_many_matches", "overloaded"],
  ),
});

const list = createRoute({
  method: "get",
  path: "/events",
  tags: ["Events"],
  operationId: "listEvents",
  summary: "List events",
  description: "The newest first.",
  request: { query: listEventsQuery },
  responses: answers({ 200: ["Events", pageOf(eventSummarySchema)] }, ["invalid_request"]),
});

const read = createRoute({
  method: "get",
  path: "/events/{id}",
  tags: ["Events"],
  operationId: "readEvent",
  summary: "Read an event, with what it started",
  description: "And the filters that could not be evaluated for it, the first few.",
  request: { params: idParameters },
  responses: answers({ 200: ["The event", eventSchema] }, ["event_not_found", "invalid_request"]),
});

const replay = createRoute({
  method: "post",
  path: "/events/{id}/replay",
  tags: ["Events"],
  operationId: "replayEvent",
  summary: "Publish an event again, as a new one",
  description:
    "With its key, scope, payload and metadata, to the workflows and filters that there are now.",
  request: { params: idParameters, body: optionalJson(replayEventSchema) },
  responses: answers(
    {
      200: ["The event that had this idempotency key", publishedEventSchema],
      201: ["Published", publishedEventSchema],
    },
    [...BODY_PROBLEMS, "event_not_found", "too_many_matches", "overloaded"],
  ),
});

const replayMany = createRoute({
  method: "post",
  path: "/events/replay",
  tags: ["Events"],
  operationId: "replayEvents",
  summary: "Publish up to 1,000 events again that fit a filter",
  description:
    "Events that were published before the first call, oldest first; give `nextCursor` as `cursor` for the next ones. With an idempotency key the call may be repeated: it answers with the same events.",
  request: { body: json(replayEventsSchema) },
  responses: answers({ 201: ["Published", replayedEventsSchema] }, [
    ...BODY_PROBLEMS,
    "too_many_matches",
    "overloaded",
  ]),
});

export const events = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(publish, async (context) => {
    const [event] = await publishOrAccept(context.env, context.var, [context.req.valid("json")]);
    if (event === undefined) throw new Error("A publication of one event published none");
    if (event.accepted) return context.json(event, 202);
    return event.created ? context.json(event, 201) : context.json(event, 200);
  })
  .openapi(publishMany, async (context) => {
    const { events: asked } = context.req.valid("json");
    const published = await publishOrAccept(context.env, context.var, asked);
    const isAccepted = published.some(({ accepted }) => accepted);
    return context.json({ events: published }, isAccepted ? 202 : 201);
  })
  .openapi(replayMany, async (context) => {
    const { filter, cursor, idempotencyKey } = context.req.valid("json");
    const { env } = context;
    const { tenant } = context.var;
    const reads = connectReads(databaseOf(env, tenant));
    const [after, ofFirstCall] = cursor?.split("/") ?? [];
    const before =
      ofFirstCall ??
      (await idOfFirstCall(env, tenant, { kind: "event_replay", key: idempotencyKey }));
    const found = await findEvents(reads, tenant, filter, {
      before,
      after,
      limit: MAX_BY_FILTER + 1,
    });
    const taken = takeFitting(found, ({ bytes }) => bytes);
    const last = taken.at(-1);
    if (last === undefined) return context.json({ events: [], nextCursor: null }, 201);
    const originals = await readOriginalEvents(
      reads,
      tenant,
      taken.map(({ id }) => id),
    );
    const bytes = taken.reduce((sum, event) => sum + event.bytes, 0);
    const asked = originals.map((original) =>
      repeated(original, idempotencyKey && `${idempotencyKey}/${original.id}`),
    );
    const published = await publishEvents(env, tenant, asked, bytes);
    const events = published.map(({ id, runs }, index) => ({
      id,
      replayOf: originals[index]?.id ?? "",
      runs,
    }));
    const hasMore = found.length > taken.length;
    return context.json({ events, nextCursor: hasMore ? `${last.id}/${before}` : null }, 201);
  })
  .openapi(replay, async (context) => {
    const { id } = context.req.valid("param");
    const { idempotencyKey } = context.req.valid("json");
    const { tenant } = context.var;
    const reads = readsOf(context);
    const [original = refuseUnknownEvent(id)] = await readOriginalEvents(reads, tenant, [id]);
    const bytes = JSON.stringify(original.payload).length;
    const asked = [repeated(original, idempotencyKey)];
    const [event] = await publishEvents(context.env, tenant, asked, bytes);
    if (event === undefined) throw new Error("A replay of one event published none");
    return event.created ? context.json(event, 201) : context.json(event, 200);
  })
  .openapi(list, async (context) => {
    const query = context.req.valid("query");
    const page = await listEvents(readsOf(context), context.var.tenant, query);
    return context.json(page, 200);
  })
  .openapi(read, async (context) => {
    const { id } = context.req.valid("param");
    const event = await readEvent(readsOf(context), context.var.tenant, id);
    return context.json(event ?? refuseUnknownEvent(id), 200);
  });

function repeated(
  { id: replayOf, key, scope, payload, metadata }: OriginalEvent,
  idempotencyKey: string | undefined,
): ToPublish {
  return {
    key,
    payload,
    metadata,
    replayOf,
    ...(scope !== null && { scope }),
    ...(idempotencyKey !== undefined && { idempotencyKey }),
  };
}

export function refuseUnknownEvent(id: string): never {
  throw new ProblemError(
    "event_not_found",
    `There is no event ${id}. GET /api/v1/events lists those that were published.`,
  );
}
