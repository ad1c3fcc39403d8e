/**
 * The zod schemas of schedules. Each is held to its type in `protocol/schedule-bodies.ts` by the compiler.
 * Unknown fields are errors.
 */
import { z } from "@hono/zod-openapi";
import { isId } from "../../protocol/ids.ts";
import {
  DEFAULT_CATCH_UP_LIMIT,
  MAX_BULK,
  MAX_CATCH_UP_LIMIT,
  MAX_CRON_LENGTH,
  MAX_JITTER_MS,
  MAX_NAME_LENGTH,
  MAX_PREVIEW,
  MAX_TIMEZONE_LENGTH,
} from "../../protocol/limits.ts";
import type * as bodies from "../../protocol/schedule-bodies.ts";
import { CATCH_UPS, OVERLAPS } from "../../protocol/states.ts";
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
} from "./fields.ts";
import { heldTo } from "./limit-schemas.ts";
import { brokenInCreation } from "./schedule-rules.ts";

const cron = z.string().max(MAX_CRON_LENGTH).openapi({
  description:
    "Minute, hour, day of the month, month and day of the week; with a sixth field before them, seconds. Days that are given both ways come on either.",
  example: "30 9 * * MON-FRI",
});

const timezone = z.string().max(MAX_TIMEZONE_LENGTH).openapi({
  description: "IANA's name of the zone whose clock the expression follows. Default UTC.",
  example: "Europe/Berlin",
});

const at = instant.openapi({ format: "date-time", description: "It starts one run, then." });

const ownName = z
  .string()
  .min(1, "must not be empty")
  .max(MAX_NAME_LENGTH)
  .openapi({ description: "Unique within its workflow.", example: "morning report" });

const options = {
  input: boundedJson("an input"),
  metadata: metadata.exactOptional(),
  overlap: z.enum(OVERLAPS).exactOptional().openapi({
    description:
      "What becomes of a tick while the run before goes on: another run, none, or that one is cancelled. Default `allow`.",
  }),
  catchUp: z.enum(CATCH_UPS).exactOptional().openapi({
    description:
      "Which of the ticks that were missed for more than a minute, as in an outage, still start runs. Default `last`.",
  }),
  catchUpLimit: z
    .int()
    .min(1)
    .max(MAX_CATCH_UP_LIMIT)
    .exactOptional()
    .openapi({
      description: `With \`all\`: the latest so many. Default ${DEFAULT_CATCH_UP_LIMIT}.`,
    }),
  jitterMs: z.int().min(0).max(MAX_JITTER_MS).exactOptional().openapi({
    description:
      "Each run starts up to so many milliseconds after its tick: always the same for one tick. Default 0.",
  }),
};

export const cronDefinition = z
  .strictObject({
    name: ownName.exactOptional(),
    cron,
    timezone: timezone.exactOptional(),
    ...options,
    priority: priority.exactOptional(),
  })
  .openapi("CronDefinition") satisfies z.ZodType<bodies.CronDefinition>;

export const createScheduleSchema = z
  .strictObject({
    workflow: name,
    name: ownName.exactOptional(),
    cron: cron.exactOptional(),
    timezone: timezone.exactOptional(),
    at: at.exactOptional(),
    ...options,
    priority: priority.exactOptional(),
    isEnabled: z.boolean().exactOptional().openapi({ description: "Default true." }),
    idempotencyKey: idempotencyKey.exactOptional(),
  })
  .superRefine(heldTo(brokenInCreation))
  .openapi("CreateSchedule") satisfies z.ZodType<bodies.CreateSchedule>;

export const createSchedulesSchema = z
  .strictObject({ schedules: z.array(createScheduleSchema).min(1).max(MAX_BULK) })
  .openapi("CreateSchedules");

export const changeScheduleSchema = z
  .strictObject({
    name: ownName.nullable().exactOptional().openapi({ description: "Null: none." }),
    cron: cron.exactOptional(),
    timezone: timezone.exactOptional(),
    at: at.exactOptional(),
    ...options,
    priority: priority.nullable().exactOptional().openapi({ description: "Null: its workflow's." }),
    isEnabled: z.boolean().exactOptional(),
  })
  .refine((change) => Object.keys(change).length > 0, "must have something to change")
  .openapi("ChangeSchedule") satisfies z.ZodType<bodies.ChangeSchedule>;

export const scheduleSchema = z
  .object({
    id,
    workflow: z.string(),
    name: z.string().nullable(),
    kind: z.enum(["cron", "once"]),
    cron: z.string().nullable(),
    timezone: z.string().nullable(),
    at: moment.nullable(),
    input: anyJson,
    metadata,
    priority: z.int().nullable(),
    overlap: z.enum(OVERLAPS),
    catchUp: z.enum(CATCH_UPS),
    catchUpLimit: z.int(),
    jitterMs: z.int(),
    isDeclared: z.boolean().openapi({ description: "The workflow's active version declares it." }),
    isEnabled: z.boolean(),
    nextTicks: z.array(moment).openapi({ description: "None: it is disabled, or over." }),
    lastTick: moment.nullable().openapi({ description: "The last that started a run." }),
    lastRun: runId.nullable(),
    skipped: z.int().openapi({
      description: "Ticks without a run: the one before went on, or the workflow was paused.",
    }),
    lastSkippedTick: moment.nullable(),
    missed: z.int().openapi({
      description: "Ticks without a run: nobody was there in time. At least so many.",
    }),
    endedAt: moment.nullable().openapi({
      description: "Since when nothing can come of it. It is forgotten a week later.",
    }),
    createdAt: moment,
    updatedAt: moment,
  })
  .openapi("Schedule") satisfies z.ZodType<bodies.Schedule>;

export const createdScheduleSchema = scheduleSchema
  .extend({ created: z.boolean() })
  .openapi("CreatedSchedule") satisfies z.ZodType<bodies.CreatedSchedule>;

export const createdSchedulesSchema = z
  .object({ schedules: z.array(z.object({ id, created: z.boolean() })) })
  .openapi("CreatedSchedules");

export const deleteSchedulesSchema = z
  .strictObject({ ids: z.array(id).min(1).max(MAX_BULK) })
  .openapi("DeleteSchedules");

export const deletedSchedulesSchema = z
  .object({
    ids: z.array(id).openapi({
      description: "Those that were deleted: the others were not there, or are declared.",
    }),
  })
  .openapi("DeletedSchedules");

export const previewScheduleSchema = z
  .strictObject({
    cron,
    timezone: timezone.exactOptional(),
    after: instant.exactOptional().openapi({ format: "date-time", description: "Default now." }),
    count: z.int().min(1).max(MAX_PREVIEW).exactOptional().openapi({ description: "Default 10." }),
  })
  .openapi("PreviewSchedule") satisfies z.ZodType<bodies.PreviewSchedule>;

export const schedulePreviewSchema = z
  .object({
    ticks: z.array(
      z.object({
        at: moment,
        local: z.string().openapi({
          description: "As the zone's clock shows it.",
          example: "Sun 2026-03-29 03:00:00 GMT+2",
        }),
      }),
    ),
  })
  .openapi("SchedulePreview") satisfies z.ZodType<bodies.SchedulePreview>;

export const triggerScheduleSchema = z
  .strictObject({ idempotencyKey: idempotencyKey.exactOptional() })
  .openapi("TriggerSchedule") satisfies z.ZodType<bodies.TriggerSchedule>;

export const listSchedulesQuery = z.strictObject({
  workflow: name.exactOptional(),
  kind: z.enum(["cron", "once"]).exactOptional(),
  limit,
  cursor: cursor(isId),
});
