/**
 * The zod schemas of runs: how they are started, shown and listed. Each is held to its type in
 * `protocol/http.ts` by the compiler. Unknown fields are errors: a misspelt option must not be
 * ignored.
 */
import { z } from "@hono/zod-openapi";
import type * as http from "../../protocol/http.ts";
import { isId, isRunId } from "../../protocol/ids.ts";
import type { Metadata } from "../../protocol/json.ts";
import { MAX_BULK, MAX_RESULT_WAIT_MS } from "../../protocol/limits.ts";
import { ATTEMPT_OUTCOMES, RUN_STATES, STEP_KINDS, TASK_STATES } from "../../protocol/states.ts";
import {
  anyJson,
  boundedJson,
  cursor,
  id,
  idempotencyKey,
  instant,
  limit,
  metadata,
  moment,
  name,
  priority,
  runId,
  taskError,
} from "./fields.ts";
import { brokenInDelay } from "./delay-rules.ts";
import { heldTo } from "./limit-schemas.ts";
import { taskWait } from "./wait-schemas.ts";

const delay = {
  delayMs: z.int().min(0).exactOptional().openapi({
    description: "It begins so many milliseconds later, at most 30 days. Default at once.",
  }),
  startAt: instant.exactOptional().openapi({
    format: "date-time",
    description: "It begins then, at most 30 days ahead; a time that has passed is now.",
  }),
};

export const startRunSchema = z
  .strictObject({
    workflow: name,
    input: boundedJson("an input"),
    metadata: metadata.exactOptional(),
    priority: priority.exactOptional(),
    idempotencyKey: idempotencyKey.exactOptional(),
    ...delay,
  })
  .superRefine(heldTo(brokenInDelay))
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

const child = z.object({ key: z.string(), run: runId, isDetached: z.boolean() });

const task = z
  .object({
    id,
    step: z.string(),
    kind: z.enum(STEP_KINDS),
    action: z.string(),
    parents: z.array(z.string()),
    state: z.enum(TASK_STATES),
    attempts: z.array(attempt),
    output: anyJson,
    error: taskError.nullable(),
    queuedAt: moment.nullable(),
    startedAt: moment.nullable(),
    finishedAt: moment.nullable(),
    retryAt: moment.nullable(),
    waited: taskWait.nullable(),
    children: z.array(child),
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
    filterId: id.nullable(),
    replayOf: runId.nullable(),
    parent: z.object({ run: runId, task: id }).nullable(),
    scheduleId: id.nullable(),
    scheduledFor: moment.nullable().openapi({ description: "The tick that it was started for." }),
    createdAt: moment,
    startsAt: moment.nullable().openapi({ description: "When it begins, if it was delayed." }),
    startedAt: moment.nullable(),
    finishedAt: moment.nullable(),
  })
  .openapi("RunSummary") satisfies z.ZodType<http.RunSummary>;

export const runSchema = runSummarySchema
  .extend({ input: anyJson, error: taskError.nullable(), tasks: z.array(task) })
  .openapi("Run") satisfies z.ZodType<http.Run>;

export const runResultSchema = z
  .object({
    id: runId,
    state: z.enum(RUN_STATES),
    outputs: z.record(z.string(), anyJson),
    error: taskError.extend({ step: z.string().nullable() }).nullable(),
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

export const runParameters = z.object({ id: runId });

const METADATA_PARAMETER = "metadata.";

const listParameters = {
  workflow: name.exactOptional(),
  state: z.enum(RUN_STATES).exactOptional(),
  since: instant.exactOptional(),
  until: instant.exactOptional(),
  eventId: id.exactOptional(),
  scheduleId: id.exactOptional(),
  limit,
  cursor: cursor(isRunId),
};

/** `metadata.KEY=VALUE` parameters are gathered into one field; others must be known. */
export const listRunsQuery = z
  .looseObject(listParameters)
  .superRefine((query, check) => {
    for (const [key, value] of Object.entries(query)) {
      if (Object.hasOwn(listParameters, key)) continue;
      if (key.startsWith(METADATA_PARAMETER)) {
        const message = whyNotMetadata(key, value);
        if (message) check.addIssue({ code: "custom", path: [key], message });
        continue;
      }
      check.addIssue({
        code: "custom",
        path: [key],
        message: `is not a parameter of this call; known: ${Object.keys(listParameters).join(", ")}, metadata.KEY`,
      });
    }
  })
  .openapi("ListRuns");

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
