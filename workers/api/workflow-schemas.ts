/**
 * The zod schemas of workflows: what a definition may say, and how a workflow is shown. Each is held
 * to its type in `protocol/http.ts` by the compiler. Unknown fields are errors: a misspelt option must
 * not be ignored, nor one that does nothing.
 */
import { z } from "@hono/zod-openapi";
import type * as http from "../../protocol/http.ts";
import type * as bodies from "../../protocol/limit-bodies.ts";
import {
  DEFAULT_BACKOFF,
  DEFAULT_TIMEOUT_MS,
  MAX_BACKOFF_FACTOR,
  MAX_BACKOFF_MS,
  MAX_CANCEL_ON,
  MAX_DECLARED_CRONS,
  MAX_DECLARED_FILTERS,
  MAX_EVENT_KEYS,
  MAX_LABEL_WEIGHT,
  MAX_LABELS,
  MAX_NAME_LENGTH,
  MAX_RETRIES,
  MAX_RUN_TIMEOUT_MS,
  MAX_SCHEDULE_TIMEOUT_MS,
  MAX_SESSION_SLOTS,
  MAX_STEPS,
  MAX_TIMEOUT_MS,
} from "../../protocol/limits.ts";
import { OWN_PREFIX } from "../../protocol/own-workflows.ts";
import { LABEL_COMPARATORS, PAUSE_MODES, STICKINESS, VERSIONINGS } from "../../protocol/states.ts";
import { filterConditionSchema } from "./filter-schemas.ts";
import { action, cursor, expression, id, limit, moment, name, priority } from "./fields.ts";
import { heldTo, limitUses } from "./limit-schemas.ts";
import { brokenInLabel } from "./limit-rules.ts";
import { cronDefinition } from "./schedule-schemas.ts";
import { promotionSchema } from "./version-schemas.ts";
import { eventKey, waitFor } from "./wait-schemas.ts";

const eventPattern = z
  .string()
  .min(1, "must not be empty")
  .max(MAX_NAME_LENGTH)
  .regex(/^[^\s*]*\*?$/, { message: "must have no spaces, and * only as its last character" });

const cancelOn = z
  .strictObject({
    event: eventKey,
    if: expression.exactOptional().openapi({
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
  retryIf: expression.exactOptional().openapi({
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

const label = z
  .strictObject({
    value: z.union([z.string().max(MAX_NAME_LENGTH), z.number()], {
      error: "must be a text or a number",
    }),
    comparator: z.enum(LABEL_COMPARATORS).exactOptional().openapi({
      description: "Between the worker's label and `value`. Default `==`.",
    }),
    isRequired: z.boolean().exactOptional().openapi({
      description: "Only workers that meet it get the task; else they are preferred.",
    }),
    weight: z.number().gt(0, "must be more than 0").max(MAX_LABEL_WEIGHT).exactOptional().openapi({
      description: "How much a preference counts beside others. Default 100.",
    }),
  })
  .superRefine(heldTo(brokenInLabel))
  .openapi("LabelRequest") satisfies z.ZodType<bodies.LabelRequest>;

const labels = z.record(name, label).refine((asked) => Object.keys(asked).length <= MAX_LABELS, {
  message: `has more labels than the ${MAX_LABELS} that a worker may have`,
});

const condition = (description: string, example: string) =>
  expression.exactOptional().openapi({ description, example });

const conditions = {
  skipIf: condition(
    "CEL over `input`, `metadata` and `parents`, the outputs of its parents by name, but of those that were skipped. Judged when they have all ended: true skips the task, and its children go on without it.",
    "parents.check.amount < 10",
  ),
  runIf: condition("As `skipIf`, but it is false that skips the task.", "has(parents.check)"),
  cancelIf: condition(
    "As `skipIf`, of a task that is not skipped: true cancels the run.",
    "parents.check.isFraud",
  ),
};

const step = z
  .strictObject({
    name,
    action: action.exactOptional(),
    parents: z.array(name).max(MAX_STEPS).exactOptional(),
    ...policy,
    ...conditions,
    waitFor: waitFor.exactOptional(),
    scheduleTimeoutMs: duration(
      MAX_SCHEDULE_TIMEOUT_MS,
      "Milliseconds it may be queued each time before it fails. Default no limit.",
    ),
    limits: limitUses.openapi({ description: "Each of its attempts is under them." }),
    slots: z
      .int()
      .min(1)
      .max(MAX_SESSION_SLOTS)
      .exactOptional()
      .openapi({ description: "Slots that an attempt takes on its worker. Default 1." }),
    labels: labels
      .exactOptional()
      .openapi({ description: "What it asks of its worker's labels, by label." }),
    compensate: executionPolicy.exactOptional(),
  })
  .refine(saysHowOften, RETRIES_MISSING)
  .openapi("StepDefinition") satisfies z.ZodType<http.StepDefinition>;

export const definitionSchema = z
  .strictObject({
    name: name.refine((text) => !text.startsWith(OWN_PREFIX), {
      message: `must not begin with ${OWN_PREFIX}, as Skein's own workflows do`,
    }),
    description: z.string().max(10_000).exactOptional(),
    events: z.array(eventPattern).max(MAX_EVENT_KEYS).exactOptional(),
    filters: z.array(filterConditionSchema).max(MAX_DECLARED_FILTERS).exactOptional().openapi({
      description:
        "Conditions under which an event of its keys starts a run: one for each that is met, beside filters that are stored. Without any, every event does.",
    }),
    cancelOn: z.array(cancelOn).max(MAX_CANCEL_ON).exactOptional().openapi({
      description:
        "Events that cancel its unfinished runs: those that were started before the event and meet the condition.",
    }),
    crons: z.array(cronDefinition).max(MAX_DECLARED_CRONS).exactOptional().openapi({
      description:
        "Schedules that start its runs while this version is active, beside those that are stored.",
    }),
    steps: z.array(step).min(1, "must have at least one step").max(MAX_STEPS),
    limits: limitUses.openapi({
      description: "Each of its runs is under them, from its first task's dispatch to its end.",
    }),
    priority: priority.exactOptional(),
    sticky: z.enum(STICKINESS).exactOptional().openapi({
      description:
        "Whether a run's later tasks go to the worker of its earlier ones: if it can, or only. Default `none`.",
    }),
    versioning: z.enum(VERSIONINGS).exactOptional().openapi({
      description:
        "Which workers execute its tasks. `compatible`, the default: all that have the action, those built with the run's version first. `pinned`: those only.",
    }),
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
    promotion: promotionSchema.nullable(),
  })
  .openapi("Workflow") satisfies z.ZodType<http.Workflow>;

export const registeredWorkflowSchema = workflowSchema
  .extend({ created: z.boolean(), activeVersion: z.int() })
  .openapi("RegisteredWorkflow") satisfies z.ZodType<http.RegisteredWorkflow>;

export const pauseWorkflowSchema = z.strictObject({ mode: pauseMode }).openapi("PauseWorkflow");

export const listWorkflowsQuery = z.strictObject({
  limit,
  cursor: cursor((text) => name.safeParse(text).success),
});
