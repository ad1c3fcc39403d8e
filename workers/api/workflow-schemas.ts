/**
 * The zod schemas of workflows: what a definition may say, and how a workflow is shown. Each is held
 * to its type in `protocol/http.ts` by the compiler. Unknown fields are errors: a misspelt option must
 * not be ignored, nor one that does nothing.
 */
import { z } from "@hono/zod-openapi";
import type * as http from "../../protocol/http.ts";
import {
  DEFAULT_BACKOFF,
  DEFAULT_TIMEOUT_MS,
  MAX_BACKOFF_FACTOR,
  MAX_BACKOFF_MS,
  MAX_CANCEL_ON,
  MAX_EVENT_KEYS,
  MAX_EXPRESSION_LENGTH,
  MAX_NAME_LENGTH,
  MAX_RETRIES,
  MAX_RUN_TIMEOUT_MS,
  MAX_SCHEDULE_TIMEOUT_MS,
  MAX_STEPS,
  MAX_TIMEOUT_MS,
} from "../../protocol/limits.ts";
import { PAUSE_MODES } from "../../protocol/states.ts";
import { cursor, id, limit, moment, name } from "./fields.ts";

const action = z
  .string()
  .min(1, "must not be empty")
  .max(MAX_NAME_LENGTH) // a session that offers it is held to the same
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]*$/, {
    message: "must start with a letter or digit and have only letters, digits, and . _ : / -",
  });

const eventPattern = z
  .string()
  .min(1, "must not be empty")
  .max(MAX_NAME_LENGTH)
  .regex(/^[^\s*]*\*?$/, { message: "must have no spaces, and * only as its last character" });

const eventKey = z
  .string()
  .min(1, "must not be empty")
  .max(MAX_NAME_LENGTH)
  .regex(/^[^\s*]*$/, { message: "must be the key of an event in full: no spaces, and no *" });

const condition = z.string().min(1, "must not be empty").max(MAX_EXPRESSION_LENGTH);

const cancelOn = z
  .strictObject({
    event: eventKey,
    if: condition.exactOptional().openapi({
      description:
        "CEL over `event.key`, `event.payload`, `event.metadata`, and the run's `input` and `metadata`. One that can't be evaluated cancels nothing. Default true.",
      example: "event.payload.id == input.id",
    }),
  })
  .openapi("CancelOn") satisfies z.ZodType<http.CancelOn>;

const duration = (max: number, description: string) =>
  z.int().min(1).max(max).exactOptional().openapi({ description });

const backoff = z
  .strictObject({
    initialMs: duration(
      MAX_BACKOFF_MS,
      `Before the first retry. Default ${DEFAULT_BACKOFF.initialMs}.`,
    ),
    factor: z
      .number()
      .min(1)
      .max(MAX_BACKOFF_FACTOR)
      .exactOptional()
      .openapi({ description: `Each wait to the one before. Default ${DEFAULT_BACKOFF.factor}.` }),
    maxMs: duration(MAX_BACKOFF_MS, `The longest wait. Default ${DEFAULT_BACKOFF.maxMs}.`),
    jitter: z
      .number()
      .min(0)
      .max(1)
      .exactOptional()
      .openapi({
        description: `The part of each wait that is random. Default ${DEFAULT_BACKOFF.jitter}.`,
      }),
  })
  .refine(isOrdered, {
    path: ["initialMs"],
    message: `must not be more than maxMs, which is ${DEFAULT_BACKOFF.maxMs} unless it is given`,
  })
  .openapi("Backoff") satisfies z.ZodType<http.Backoff>;

function isOrdered({
  initialMs = DEFAULT_BACKOFF.initialMs,
  maxMs = DEFAULT_BACKOFF.maxMs,
}: http.Backoff): boolean {
  return initialMs <= maxMs;
}

const policy = {
  timeoutMs: duration(
    MAX_TIMEOUT_MS,
    `Milliseconds one attempt may take. Default ${DEFAULT_TIMEOUT_MS}.`,
  ),
  retries: z
    .int()
    .min(0)
    .max(MAX_RETRIES)
    .exactOptional()
    .openapi({ description: "Attempts after the first that failed or timed out. Default 0." }),
  backoff: backoff.exactOptional(),
  retryIf: condition.exactOptional().openapi({
    description:
      "CEL over `error.code`, `error.name`, `error.message` and `attempt`: false ends the retries.",
    example: 'error.name != "CardDeclined"',
  }),
};

const RETRIES_MISSING = {
  path: ["retries"],
  message: "is missing: without it there are no retries, and backoff and retryIf do nothing",
};

function saysHowOften({ retries, backoff: waits, retryIf }: http.ExecutionPolicy): boolean {
  return retries !== undefined || (waits === undefined && retryIf === undefined);
}

const executionPolicy = z
  .strictObject(policy)
  .refine(saysHowOften, RETRIES_MISSING)
  .openapi("ExecutionPolicy") satisfies z.ZodType<http.ExecutionPolicy>;

const step = z
  .strictObject({
    name,
    action: action.exactOptional(),
    parents: z.array(name).max(MAX_STEPS).exactOptional(),
    ...policy,
    scheduleTimeoutMs: duration(
      MAX_SCHEDULE_TIMEOUT_MS,
      "Milliseconds it may be queued each time before it fails. Default no limit.",
    ),
    compensate: executionPolicy.exactOptional(),
  })
  .refine(saysHowOften, RETRIES_MISSING)
  .openapi("StepDefinition") satisfies z.ZodType<http.StepDefinition>;

export const definitionSchema = z
  .strictObject({
    name,
    description: z.string().max(10_000).exactOptional(),
    events: z.array(eventPattern).max(MAX_EVENT_KEYS).exactOptional(),
    cancelOn: z.array(cancelOn).max(MAX_CANCEL_ON).exactOptional().openapi({
      description:
        "Events that cancel its unfinished runs: those that were started before the event and meet the condition.",
    }),
    steps: z.array(step).min(1, "must have at least one step").max(MAX_STEPS),
    timeoutMs: duration(
      MAX_RUN_TIMEOUT_MS,
      "Milliseconds a run may take, from its start to its last step's end. Default no limit.",
    ),
    onFailure: executionPolicy.exactOptional(),
  })
  .openapi("WorkflowDefinition") satisfies z.ZodType<http.WorkflowDefinition>;

const version = z.object({ id, number: z.int(), checksum: z.string(), createdAt: moment });

const pauseMode = z.enum(PAUSE_MODES).openapi({
  description:
    "`hold`: runs are started, and begin once the workflow is resumed. `drop`: there are no new runs.",
});

export const workflowSchema = z
  .object({
    id,
    name: z.string(),
    createdAt: moment,
    version,
    definition: definitionSchema,
    paused: z.object({ at: moment, mode: pauseMode }).nullable(),
  })
  .openapi("Workflow") satisfies z.ZodType<http.Workflow>;

export const registeredWorkflowSchema = workflowSchema
  .extend({ created: z.boolean() })
  .openapi("RegisteredWorkflow") satisfies z.ZodType<http.RegisteredWorkflow>;

export const pauseWorkflowSchema = z.strictObject({ mode: pauseMode }).openapi("PauseWorkflow");

export const listWorkflowsQuery = z.strictObject({
  limit,
  cursor: cursor((text) => name.safeParse(text).success),
});
