/**
 * The zod schemas of the HTTP API: what requests are checked with and the OpenAPI document is made
 * from. Each is held to its type in `protocol/http.ts` by the compiler. Unknown fields are errors:
 * a misspelt option must not be ignored.
 */
import { z } from "@hono/zod-openapi";
import {
  type Problem,
  PROBLEMS,
  type ProblemCode,
  TASK_ERROR_CODES,
} from "../../protocol/errors.ts";
import type * as http from "../../protocol/http.ts";
import { isId, isRunId } from "../../protocol/ids.ts";
import type { Json, Metadata } from "../../protocol/json.ts";
import {
  DEFAULT_PAGE_SIZE,
  MAX_BULK,
  MAX_EVENT_KEYS,
  MAX_IDEMPOTENCY_KEY_LENGTH,
  MAX_METADATA_BYTES,
  MAX_NAME_LENGTH,
  MAX_PAGE_SIZE,
  MAX_PAYLOAD_BYTES,
  MAX_RESULT_WAIT_MS,
  MAX_STEPS,
  MAX_TIMEOUT_MS,
} from "../../protocol/limits.ts";
import { ATTEMPT_OUTCOMES, RUN_STATES, TASK_STATES } from "../../protocol/states.ts";

const encoder = new TextEncoder();

/** Characters are at least a byte and at most three: most values need no counting. */
function fitsBytes(value: unknown, limit: number): boolean {
  const text = JSON.stringify(value) ?? "";
  return text.length * 3 <= limit || encoder.encode(text).length <= limit;
}

const anyJson = z
  .custom<Json>((value) => value !== undefined, "is missing")
  .openapi({
    description: "Any JSON",
    type: ["object", "array", "string", "number", "boolean", "null"],
  });

const boundedJson = (what: string) =>
  z
    .custom<Json>((value) => fitsBytes(value, MAX_PAYLOAD_BYTES), {
      message: `is larger than the ${MAX_PAYLOAD_BYTES} bytes of JSON that ${what} may have`,
      params: { code: "payload_too_large" },
    })
    .exactOptional()
    .openapi({
      description: `Any JSON, at most ${MAX_PAYLOAD_BYTES} bytes. Default null.`,
      type: ["object", "array", "string", "number", "boolean", "null"],
    });

const metadata: z.ZodType<Metadata> = z
  .record(z.string().min(1).max(MAX_NAME_LENGTH), z.string())
  .refine((value) => fitsBytes(value, MAX_METADATA_BYTES), {
    message: `is larger than the ${MAX_METADATA_BYTES} bytes of JSON that metadata may have`,
  })
  .openapi({ description: "Text labels to find it by.", example: { customer: "acme" } });

/** Names of workflows and steps: they become part of ids, addresses and actions. */
const name = z
  .string()
  .min(1, "must not be empty")
  .max(MAX_NAME_LENGTH)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, {
    message:
      "must start with a letter or digit and have only letters, digits, dots, dashes and underscores",
  });

const action = z
  .string()
  .min(1, "must not be empty")
  .max(MAX_NAME_LENGTH) // a session that offers it is held to the same
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]*$/, {
    message: "must start with a letter or digit and have only letters, digits, and . _ : / -",
  });

const eventKey = z
  .string()
  .min(1, "must not be empty")
  .max(MAX_NAME_LENGTH)
  .regex(/^[^\s*]+$/, { message: "must have no spaces and no *" });

const eventPattern = z
  .string()
  .min(1, "must not be empty")
  .max(MAX_NAME_LENGTH)
  .regex(/^[^\s*]*\*?$/, { message: "must have no spaces, and * only as its last character" });

const idempotencyKey = z
  .string()
  .min(1, "must not be empty")
  .max(MAX_IDEMPOTENCY_KEY_LENGTH)
  .openapi({ description: "Two calls with the same key within a day are one." });

const id = z
  .string()
  .refine(isId, { message: "is not an id: expected a UUID, version 7" })
  .openapi({ format: "uuid", example: "0199f3a2-7c1e-7000-8a4b-5d6e7f800000" });

const runId = z
  .string()
  .refine(isRunId, { message: "is not a run's id: expected a UUID, version 7, that ends in 0000" })
  .openapi({ format: "uuid", example: "0199f3a2-7c1e-7000-8a4b-5d6e7f800000" });

const moment = z.string().openapi({ format: "date-time" });

export const definitionSchema = z
  .strictObject({
    name,
    description: z.string().max(10_000).exactOptional(),
    events: z.array(eventPattern).max(MAX_EVENT_KEYS).exactOptional(),
    steps: z
      .array(
        z.strictObject({
          name,
          action: action.exactOptional(),
          parents: z.array(name).max(MAX_STEPS).exactOptional(),
          timeoutMs: z.int().min(1).max(MAX_TIMEOUT_MS).exactOptional(),
        }),
      )
      .min(1, "must have at least one step")
      .max(MAX_STEPS),
  })
  .openapi("WorkflowDefinition") satisfies z.ZodType<http.WorkflowDefinition>;

const version = z.object({ id, number: z.int(), checksum: z.string(), createdAt: moment });

export const workflowSchema = z
  .object({ id, name: z.string(), createdAt: moment, version, definition: definitionSchema })
  .openapi("Workflow") satisfies z.ZodType<http.Workflow>;

export const registeredWorkflowSchema = workflowSchema
  .extend({ created: z.boolean() })
  .openapi("RegisteredWorkflow") satisfies z.ZodType<http.RegisteredWorkflow>;

export const startRunSchema = z
  .strictObject({
    workflow: name,
    input: boundedJson("an input"),
    metadata: metadata.exactOptional(),
    idempotencyKey: idempotencyKey.exactOptional(),
  })
  .openapi("StartRun") satisfies z.ZodType<http.StartRun>;

export const startRunsSchema = z
  .strictObject({ runs: z.array(startRunSchema).min(1).max(MAX_BULK) })
  .openapi("StartRuns");

export const startedRunSchema = z
  .object({ id: runId, created: z.boolean() })
  .openapi("StartedRun") satisfies z.ZodType<http.StartedRun>;

export const startedRunsSchema = z
  .object({ runs: z.array(startedRunSchema) })
  .openapi("StartedRuns");

export const publishEventSchema = z
  .strictObject({
    key: eventKey,
    payload: boundedJson("a payload"),
    metadata: metadata.exactOptional(),
    idempotencyKey: idempotencyKey.exactOptional(),
  })
  .openapi("PublishEvent") satisfies z.ZodType<http.PublishEvent>;

export const publishEventsSchema = z
  .strictObject({ events: z.array(publishEventSchema).min(1).max(MAX_BULK) })
  .openapi("PublishEvents");

export const publishedEventSchema = z
  .object({ id, created: z.boolean(), runs: z.array(runId) })
  .openapi("PublishedEvent") satisfies z.ZodType<http.PublishedEvent>;

export const publishedEventsSchema = z
  .object({ events: z.array(publishedEventSchema) })
  .openapi("PublishedEvents");

const taskError = z
  .object({
    code: z.enum(TASK_ERROR_CODES),
    name: z.string(),
    message: z.string(),
    stack: z.string().exactOptional(),
  })
  .openapi("TaskError");

const attempt = z
  .object({
    attempt: z.int(),
    outcome: z.enum(ATTEMPT_OUTCOMES),
    worker: z.string().nullable(),
    startedAt: moment.nullable(),
    finishedAt: moment,
    error: taskError.nullable(),
  })
  .openapi("Attempt") satisfies z.ZodType<http.Attempt>;

const task = z
  .object({
    id,
    step: z.string(),
    action: z.string(),
    parents: z.array(z.string()),
    state: z.enum(TASK_STATES),
    attempts: z.array(attempt),
    output: anyJson,
    error: taskError.nullable(),
    queuedAt: moment.nullable(),
    startedAt: moment.nullable(),
    finishedAt: moment.nullable(),
  })
  .openapi("Task") satisfies z.ZodType<http.Task>;

export const runSummarySchema = z
  .object({
    id: runId,
    workflow: z.string(),
    version: z.int(),
    state: z.enum(RUN_STATES),
    metadata,
    eventId: id.nullable(),
    createdAt: moment,
    startedAt: moment.nullable(),
    finishedAt: moment.nullable(),
  })
  .openapi("RunSummary") satisfies z.ZodType<http.RunSummary>;

export const runSchema = runSummarySchema
  .extend({ input: anyJson, tasks: z.array(task) })
  .openapi("Run") satisfies z.ZodType<http.Run>;

export const runResultSchema = z
  .object({
    id: runId,
    state: z.enum(RUN_STATES),
    outputs: z.record(z.string(), anyJson),
    error: taskError.extend({ step: z.string() }).nullable(),
  })
  .openapi("RunResult") satisfies z.ZodType<http.RunResult>;

export const logLineSchema = z
  .object({
    task: id,
    step: z.string(),
    attempt: z.int(),
    level: z.enum(["debug", "info", "warn", "error"]),
    message: z.string(),
    fields: z.record(z.string(), anyJson).exactOptional(),
    at: moment,
  })
  .openapi("LogLine") satisfies z.ZodType<http.RunLogLine>;

export const shardsSchema = z
  .object({ shards: z.array(z.object({ number: z.int(), path: z.string() })) })
  .openapi("Shards") satisfies z.ZodType<{ shards: http.Shard[] }>;

export const tenantSchema = z
  .object({ id, name: z.string(), createdAt: moment })
  .openapi("Tenant") satisfies z.ZodType<http.Tenant>;

export const tokenSchema = z
  .object({ id, name: z.string(), prefix: z.string(), createdAt: moment })
  .openapi("ApiToken") satisfies z.ZodType<http.ApiToken>;

export const createdTokenSchema = tokenSchema
  .extend({ token: z.string() })
  .openapi("CreatedApiToken") satisfies z.ZodType<http.CreatedApiToken>;

export const namedSchema = z.strictObject({ name }).openapi("Named");

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.enum(Object.keys(PROBLEMS) as [ProblemCode, ...ProblemCode[]]),
    detail: z.string(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).exactOptional(),
    requestId: z.string().exactOptional(),
  })
  .openapi("Problem") satisfies z.ZodType<Problem>;

/** One page of a list. */
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({ items: z.array(item), nextCursor: z.string().nullable() });

const limit = z.coerce
  .number()
  .int()
  .min(1)
  .max(MAX_PAGE_SIZE)
  .default(DEFAULT_PAGE_SIZE)
  .openapi({ description: "Items on a page." });

/** `isCursor` knows the form that the list gives its cursors. */
const cursor = (isCursor: (text: string) => boolean) =>
  z
    .string()
    .refine(isCursor, {
      message: "is not a cursor of this list: give `nextCursor` of the page before, as it was",
    })
    .exactOptional()
    .openapi({ description: "`nextCursor` of the page before." });

const METADATA_PARAMETER = "metadata.";
const instant = z.iso.datetime({
  offset: true,
  message: "is not an ISO 8601 time such as 2026-01-31T12:00:00Z",
});

/** `metadata.KEY=VALUE` parameters are gathered into one field; others must be known. */
export const listRunsQuery = z
  .looseObject({
    workflow: name.exactOptional(),
    state: z.enum(RUN_STATES).exactOptional(),
    since: instant.exactOptional(),
    until: instant.exactOptional(),
    limit,
    cursor: cursor(isRunId),
  })
  .superRefine((query, check) => {
    for (const [key, value] of Object.entries(query)) {
      if (LIST_RUNS_PARAMETERS.has(key)) continue;
      if (key.startsWith(METADATA_PARAMETER)) {
        const message = whyNotMetadata(key, value);
        if (message) check.addIssue({ code: "custom", path: [key], message });
        continue;
      }
      check.addIssue({
        code: "custom",
        path: [key],
        message: `is not a parameter of this call; known: ${[...LIST_RUNS_PARAMETERS].join(", ")}, metadata.KEY`,
      });
    }
  })
  .openapi("ListRuns");
const LIST_RUNS_PARAMETERS = new Set(["workflow", "state", "since", "until", "limit", "cursor"]);

/** A value that no run's metadata can have finds none: better said than searched for. */
function whyNotMetadata(key: string, value: unknown): string | undefined {
  if (typeof value !== "string") return "is given more than once";
  return `${key}${value}`.includes("\0")
    ? "holds the character U+0000, which no metadata has"
    : undefined;
}

/** The metadata that a list's query asks for. */
export function metadataOf(query: Record<string, unknown>): Metadata {
  const found: Metadata = {};
  for (const [key, value] of Object.entries(query)) {
    if (key.startsWith(METADATA_PARAMETER))
      found[key.slice(METADATA_PARAMETER.length)] = String(value);
  }
  return found;
}

const LOG_CURSOR = /^[^/]+\/\d{1,9}\/\d{1,9}$/;

export const listWorkflowsQuery = z.strictObject({
  limit,
  cursor: cursor((text) => name.safeParse(text).success),
});
export const listLogsQuery = z.strictObject({
  limit,
  cursor: cursor((text) => LOG_CURSOR.test(text) && isId(text.split("/", 1)[0] ?? "")),
});
export const waitQuery = z.strictObject({
  waitMs: z.coerce
    .number()
    .int()
    .min(0)
    .max(MAX_RESULT_WAIT_MS)
    .default(0)
    .openapi({ description: "Answer when the run has finished, or after so many milliseconds." }),
});
export const runParameters = z.object({ id: runId });
export const nameParameters = z.object({ name });
export const tenantParameters = z.object({ id });
export const tokenParameters = z.object({ id, token: id });
export const shardParameters = z.object({ number: z.int().min(0) });
