/**
 * The zod schemas of events, shards, workers, tenants and problems; those of workflows and runs are in
 * the files beside this one. Requests are checked with them, and the OpenAPI document is made from
 * them. Each is held to its type in `protocol/` by the compiler. Unknown fields are errors.
 */
import { z } from "@hono/zod-openapi";
import {
  EXPRESSION_ERRORS,
  type ExpressionErrorCode,
  type FieldError,
  type Problem,
  PROBLEMS,
  type ProblemCode,
} from "../../protocol/errors.ts";
import type * as http from "../../protocol/http.ts";
import { MAX_BULK, MAX_NAME_LENGTH } from "../../protocol/limits.ts";
import type * as tenants from "../../protocol/tenant-bodies.ts";
import { JURISDICTIONS, LOCATION_HINTS } from "../../protocol/tenant-bodies.ts";
import { boundedJson, id, idempotencyKey, metadata, moment, name, runId } from "./fields.ts";
import { eventKey, scope } from "./filter-schemas.ts";

export const publishEventSchema = z
  .strictObject({
    key: eventKey,
    scope: scope.exactOptional(),
    payload: boundedJson("a payload"),
    metadata: metadata.exactOptional(),
    idempotencyKey: idempotencyKey.exactOptional(),
  })
  .openapi("PublishEvent") satisfies z.ZodType<http.PublishEvent>;

export const publishEventsSchema = z
  .strictObject({ events: z.array(publishEventSchema).min(1).max(MAX_BULK) })
  .openapi("PublishEvents");

export const publishedEventSchema = z
  .object({
    id,
    created: z.boolean(),
    runs: z.array(runId),
    accepted: z.literal(true).exactOptional().openapi({
      description: "It is durable, and waits to be published: what it starts is not known yet.",
    }),
  })
  .openapi("PublishedEvent") satisfies z.ZodType<http.PublishedEvent>;

export const publishedEventsSchema = z
  .object({ events: z.array(publishedEventSchema) })
  .openapi("PublishedEvents");

export const shardsSchema = z
  .object({
    version: z.int().openapi({ description: "Rises with every change." }),
    shards: z.array(
      z.object({
        number: z.int(),
        path: z.string(),
        isDraining: z.boolean().exactOptional().openapi({
          description: "It takes no new runs, and closes when it has finished those it has.",
        }),
      }),
    ),
  })
  .openapi("Shards") satisfies z.ZodType<{ version: number; shards: http.Shard[] }>;

export const shardLoadSchema = z
  .object({
    number: z.int(),
    sessions: z.int(),
    refusedHandshakes: z.int(),
    attempts: z.int(),
    readyTasks: z.int(),
    readyBytes: z.number(),
    lanes: z.int(),
    queuedLanes: z.int(),
    heldKeys: z.int(),
    buckets: z.int(),
    pendingBytes: z.number(),
  })
  .openapi("ShardLoad") satisfies z.ZodType<http.ShardLoad>;

export const workerSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    shard: z.int(),
    state: z.enum(["connected", "paused", "draining", "stalled", "disconnected"]).openapi({
      description:
        "`stalled`: it has not confirmed a task in time, and gets no more until it says something.",
    }),
    slots: z.int(),
    usedSlots: z.int(),
    actions: z.array(z.string()),
    labels: z.record(z.string(), z.union([z.string(), z.number()])),
    connectedAt: moment,
    heardAt: moment,
  })
  .openapi("Worker") satisfies z.ZodType<http.WorkerRecord>;

export const tenantSchema = z
  .object({
    id,
    name: z.string(),
    locationHint: z.enum(LOCATION_HINTS).nullable(),
    jurisdiction: z.enum(JURISDICTIONS).nullable(),
    createdAt: moment,
  })
  .openapi("Tenant") satisfies z.ZodType<tenants.Tenant>;

export const tokenSchema = z
  .object({ id, name: z.string(), prefix: z.string(), createdAt: moment })
  .openapi("ApiToken") satisfies z.ZodType<tenants.ApiToken>;

export const createdTokenSchema = tokenSchema
  .extend({ token: z.string() })
  .openapi("CreatedApiToken") satisfies z.ZodType<tenants.CreatedApiToken>;

export const namedSchema = z.strictObject({ name }).openapi("Named");

export const newTenantSchema = z
  .strictObject({
    name,
    locationHint: z.enum(LOCATION_HINTS).exactOptional().openapi({
      description: "Near which region its Durable Objects are created. It binds nobody.",
    }),
    jurisdiction: z.enum(JURISDICTIONS).exactOptional().openapi({
      description: "Within which its Durable Objects run and store. It can never be changed.",
    }),
  })
  .openapi("NewTenant") satisfies z.ZodType<tenants.NewTenant>;

const fieldError = z
  .object({
    path: z.string(),
    message: z.string(),
    code: z
      .enum(Object.keys(EXPRESSION_ERRORS) as [ExpressionErrorCode, ...ExpressionErrorCode[]])
      .exactOptional()
      .openapi({ description: "What is wrong with an expression." }),
    position: z
      .object({ start: z.int(), end: z.int(), line: z.int(), column: z.int() })
      .exactOptional(),
    excerpt: z
      .string()
      .exactOptional()
      .openapi({ description: "A line of an expression, with a caret under the position." }),
  })
  .openapi("FieldError") satisfies z.ZodType<FieldError>;

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.enum(Object.keys(PROBLEMS) as [ProblemCode, ...ProblemCode[]]),
    detail: z.string(),
    errors: z.array(fieldError).exactOptional(),
    requestId: z.string().exactOptional(),
  })
  .openapi("Problem") satisfies z.ZodType<Problem>;

export const tenantParameters = z.object({ id });
export const tokenParameters = z.object({ id, token: id });
export const shardParameters = z.object({
  number: z
    .string()
    .regex(/^(0|[1-9]\d{0,4})$/, "must be a shard's number, from 0")
    .transform(Number)
    .openapi({ type: "integer", minimum: 0 }),
});
/** A session's id, as its shard has given it. */
export const workerParameters = z.object({ id: z.string().min(1).max(MAX_NAME_LENGTH) });
