/**
 * The zod schemas of events and of the filters that decide what they start. Each is held to its type in
 * `protocol/event-bodies.ts` by the compiler. Unknown fields are errors.
 */
import { z } from "@hono/zod-openapi";
import { EXPRESSION_ERRORS, type ExpressionErrorCode } from "../../protocol/errors.ts";
import type * as bodies from "../../protocol/event-bodies.ts";
import { isId } from "../../protocol/ids.ts";
import { MAX_BULK, MAX_FILTER_PAYLOAD_BYTES, MAX_NAME_LENGTH } from "../../protocol/limits.ts";
import { MAX_CALL_KEY_LENGTH } from "./change-schemas.ts";
import {
  anyJson,
  boundedJson,
  cursor,
  expression,
  id,
  idempotencyKey,
  instant,
  limit,
  metadata,
  moment,
  name,
  runId,
} from "./fields.ts";

export const eventKey = z
  .string()
  .min(1, "must not be empty")
  .max(MAX_NAME_LENGTH)
  .regex(/^[^\s*]+$/, { message: "must have no spaces and no *" });

export const scope = z
  .string()
  .min(1, "must not be empty")
  .max(MAX_NAME_LENGTH)
  .openapi({ description: "What an event is about, such as a customer.", example: "acme" });

const condition = {
  scope: scope
    .exactOptional()
    .openapi({ description: "Only for events of this scope. Default: of any, or none." }),
  expression: expression.openapi({
    description:
      "CEL over `input` (the event's payload), `metadata`, `event.key`, `event.id`, `event.scope` and `payload` (the filter's). One that can't be evaluated is not met.",
    example: "input.amount > payload.least",
  }),
  payload: boundedJson("a filter's payload", "null", MAX_FILTER_PAYLOAD_BYTES),
};

export const filterConditionSchema = z
  .strictObject(condition)
  .openapi("FilterCondition") satisfies z.ZodType<bodies.FilterCondition>;

export const createFilterSchema = z
  .strictObject({ workflow: name, ...condition })
  .openapi("CreateFilter") satisfies z.ZodType<bodies.CreateFilter>;

export const createFiltersSchema = z
  .strictObject({ filters: z.array(createFilterSchema).min(1).max(MAX_BULK) })
  .openapi("CreateFilters");

export const changeFilterSchema = z
  .strictObject({
    scope: scope.nullable().exactOptional().openapi({ description: "Null: of any scope." }),
    expression: expression.exactOptional(),
    payload: condition.payload,
  })
  .refine((change) => Object.keys(change).length > 0, "must have something to change")
  .openapi("ChangeFilter") satisfies z.ZodType<bodies.ChangeFilter>;

export const filterSchema = z
  .object({
    id,
    workflow: z.string(),
    scope: z.string().nullable(),
    expression: z.string(),
    payload: anyJson,
    isDeclared: z.boolean().openapi({ description: "The workflow's active version declares it." }),
    createdAt: moment,
    updatedAt: moment,
  })
  .openapi("Filter") satisfies z.ZodType<bodies.Filter>;

export const createdFilterSchema = filterSchema
  .extend({ created: z.boolean() })
  .openapi("CreatedFilter") satisfies z.ZodType<bodies.CreatedFilter>;

export const createdFiltersSchema = z
  .object({ filters: z.array(z.object({ id, created: z.boolean() })) })
  .openapi("CreatedFilters");

const evaluationError = z
  .object({
    code: z.enum(Object.keys(EXPRESSION_ERRORS) as [ExpressionErrorCode]),
    message: z.string(),
    position: z
      .object({ start: z.int(), end: z.int(), line: z.int(), column: z.int() })
      .exactOptional(),
    excerpt: z.string().exactOptional(),
  })
  .openapi("EvaluationError") satisfies z.ZodType<bodies.EvaluationError>;

export const filterFailureSchema = z
  .object({ filter: id, event: id, error: evaluationError, at: moment })
  .openapi("FilterFailure") satisfies z.ZodType<bodies.FilterFailure>;

export const tryFilterSchema = z
  .strictObject({
    filter: id.exactOptional(),
    expression: expression.exactOptional(),
    payload: condition.payload,
    event: z.union(
      [
        id,
        z.strictObject({
          key: eventKey,
          scope: scope.exactOptional(),
          payload: boundedJson("a payload"),
          metadata: metadata.exactOptional(),
        }),
      ],
      { error: "must be the id of an event, or an event with a key" },
    ),
  })
  .refine((body) => body.filter !== undefined || body.expression !== undefined, {
    path: ["expression"],
    message: "is missing: give it, or a filter that has one",
  })
  .openapi("TryFilter") satisfies z.ZodType<bodies.TryFilter>;

export const triedFilterSchema = z
  .object({ isMatch: z.boolean(), error: evaluationError.nullable() })
  .openapi("TriedFilter") satisfies z.ZodType<bodies.TriedFilter>;

export const listFiltersQuery = z.strictObject({
  workflow: name.exactOptional(),
  scope: scope.exactOptional(),
  limit,
  cursor: cursor(isId),
});

export const listFailuresQuery = z.strictObject({ limit, cursor: cursor(isId) });

const summary = {
  id,
  key: z.string(),
  scope: z.string().nullable(),
  metadata,
  publishedAt: moment,
  replayOf: id.nullable().openapi({ description: "The event that it repeats." }),
};

export const eventSummarySchema = z
  .object({ ...summary, runs: z.array(runId) })
  .openapi("EventSummary") satisfies z.ZodType<bodies.EventSummary>;

export const eventSchema = z
  .object({
    ...summary,
    payload: anyJson,
    runs: z.array(z.object({ id: runId, workflow: z.string(), filter: id.nullable() })),
    failures: z.array(z.object({ filter: id, error: evaluationError })),
  })
  .openapi("Event") satisfies z.ZodType<bodies.EventRecord>;

export const listEventsQuery = z.strictObject({
  key: eventKey.exactOptional(),
  scope: scope.exactOptional(),
  since: instant.exactOptional(),
  until: instant.exactOptional(),
  limit,
  cursor: cursor(isId),
});

export const replayEventSchema = z.strictObject({ idempotencyKey: idempotencyKey.exactOptional() });

export const replayEventsSchema = z
  .strictObject({
    filter: z
      .strictObject({
        key: eventKey.exactOptional(),
        scope: scope.exactOptional(),
        since: instant.exactOptional(),
        until: instant.exactOptional(),
        metadata: metadata
          .refine((labels) => Object.keys(labels).length > 0, "must have at least one label")
          .exactOptional(),
      })
      .refine((filter) => Object.keys(filter).length > 0, {
        message:
          "must have at least one of key, scope, since, until and metadata: say which events are meant",
      }),
    idempotencyKey: idempotencyKey.max(MAX_CALL_KEY_LENGTH).exactOptional(),
    cursor: cursor((text) => text.split("/").length === 2 && text.split("/").every(isId)),
  })
  .openapi("ReplayEvents") satisfies z.ZodType<bodies.ReplayEvents>;

export const replayedEventsSchema = z
  .object({
    events: z.array(z.object({ id, replayOf: id, runs: z.array(runId) })),
    nextCursor: z.string().nullable(),
  })
  .openapi("ReplayedEvents") satisfies z.ZodType<bodies.ReplayedEvents>;

export const idParameters = z.object({ id });
