/**
 * The routes of schedules, as the OpenAPI document tells of them.
 */
import { createRoute, z } from "@hono/zod-openapi";
import { pageOf } from "./fields.ts";
import { idParameters } from "./filter-schemas.ts";
import { answers, BODY_PROBLEMS, json, optionalJson } from "./openapi.ts";
import { startedRunSchema } from "./run-schemas.ts";
import {
  changeScheduleSchema,
  createdScheduleSchema,
  createdSchedulesSchema,
  createScheduleSchema,
  createSchedulesSchema,
  deletedSchedulesSchema,
  deleteSchedulesSchema,
  listSchedulesQuery,
  previewScheduleSchema,
  schedulePreviewSchema,
  scheduleSchema,
  triggerScheduleSchema,
} from "./schedule-schemas.ts";

const tags = ["Schedules"];

const STORE_PROBLEMS = [
  ...BODY_PROBLEMS,
  "workflow_not_found",
  "schedule_exists",
  "too_many_schedules",
] as const;

export const create = createRoute({
  method: "post",
  path: "/schedules",
  tags,
  operationId: "createSchedule",
  summary: "Store a schedule of a workflow",
  description:
    "With `cron` it starts a run at each tick, with `at` one run. Of each tick runs are started once, whatever dies.",
  request: { body: json(createScheduleSchema) },
  responses: answers(
    {
      200: ["The schedule that had this idempotency key", createdScheduleSchema],
      201: ["Stored", createdScheduleSchema],
    },
    [...STORE_PROBLEMS],
  ),
});

export const createMany = createRoute({
  method: "post",
  path: "/schedules/bulk",
  tags,
  operationId: "createSchedules",
  summary: "Store up to 1,000 schedules",
  description: "All or none. In the order given.",
  request: { body: json(createSchedulesSchema) },
  responses: answers({ 201: ["Stored, or there already", createdSchedulesSchema] }, [
    ...STORE_PROBLEMS,
  ]),
});

export const removeMany = createRoute({
  method: "post",
  path: "/schedules/delete",
  tags,
  operationId: "deleteSchedules",
  summary: "Delete up to 1,000 schedules",
  description:
    "Tells those that it has deleted. Those that are not there, and those that workflows declare, are passed over.",
  request: { body: json(deleteSchedulesSchema) },
  responses: answers({ 200: ["Deleted", deletedSchedulesSchema] }, [...BODY_PROBLEMS]),
});

export const preview = createRoute({
  method: "post",
  path: "/schedules/preview",
  tags,
  operationId: "previewSchedule",
  summary: "Tell the ticks of a cron expression",
  description: "With the zone's own clock, across daylight saving time. Stores nothing.",
  request: { body: json(previewScheduleSchema) },
  responses: answers({ 200: ["The ticks, in order", schedulePreviewSchema] }, [...BODY_PROBLEMS]),
});

export const list = createRoute({
  method: "get",
  path: "/schedules",
  tags,
  operationId: "listSchedules",
  summary: "List schedules",
  description: "The oldest first, with their next ticks; also those that workflows declare.",
  request: { query: listSchedulesQuery },
  responses: answers({ 200: ["By id", pageOf(scheduleSchema)] }, ["invalid_request"]),
});

export const read = createRoute({
  method: "get",
  path: "/schedules/{id}",
  tags,
  operationId: "readSchedule",
  summary: "Read a schedule",
  description: "Its runs are listed by `GET /runs?scheduleId=…`.",
  request: { params: idParameters },
  responses: answers({ 200: ["The schedule", scheduleSchema] }, [
    "schedule_not_found",
    "invalid_request",
  ]),
});

export const change = createRoute({
  method: "patch",
  path: "/schedules/{id}",
  tags,
  operationId: "changeSchedule",
  summary: "Change a schedule, or enable or disable it",
  description:
    "What is left out stays as it is. A tick that has been seen to does not come again, and what was missed while it was disabled is not caught up with.",
  request: { params: idParameters, body: json(changeScheduleSchema) },
  responses: answers({ 200: ["Changed", scheduleSchema] }, [
    ...BODY_PROBLEMS,
    "schedule_not_found",
    "schedule_declared",
    "schedule_exists",
    "schedule_over",
    "overloaded",
  ]),
});

export const remove = createRoute({
  method: "delete",
  path: "/schedules/{id}",
  tags,
  operationId: "deleteSchedule",
  summary: "Delete a schedule",
  description: "Runs that it has started stay as they are.",
  request: { params: idParameters },
  responses: answers({ 200: ["Deleted", z.object({ id: z.string() })] }, [
    "schedule_not_found",
    "schedule_declared",
    "invalid_request",
  ]),
});

export const trigger = createRoute({
  method: "post",
  path: "/schedules/{id}/trigger",
  tags,
  operationId: "triggerSchedule",
  summary: "Start a run of a schedule now",
  description: "Whether or not it is enabled. Its ticks stay as they are.",
  request: { params: idParameters, body: optionalJson(triggerScheduleSchema) },
  responses: answers(
    {
      200: ["The run that had this idempotency key", startedRunSchema],
      201: ["Started", startedRunSchema],
    },
    [...BODY_PROBLEMS, "schedule_not_found", "workflow_not_found", "workflow_paused", "overloaded"],
  ),
});
