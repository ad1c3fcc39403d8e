/**
 * The zod schema of why a task is not running, held to its type in `protocol/http.ts` by the compiler.
 */
import { z } from "@hono/zod-openapi";
import type * as bodies from "../../protocol/limit-bodies.ts";
import { FINISHED_TASK_STATES, TASK_STATES } from "../../protocol/states.ts";
import { moment, runId, taskId } from "./fields.ts";
import { limitHolderSchema } from "./limit-schemas.ts";

const line = z
  .object({ position: z.int(), length: z.int(), isExact: z.boolean() })
  .openapi("LinePosition", {
    description: "From 1, among those that wait for the same. Not exact: at least.",
  }) satisfies z.ZodType<bodies.LinePosition>;

const doubt = z.enum(["unreached", "gathering"]).exactOptional().openapi({
  description:
    "What is said of the limit is the least that is known: the shard that counts it could not be asked, or asks others what they hold and gives nothing until they have said so.",
});

const counted = { limit: z.string(), key: z.string(), doubt, line };

const returnNeed = z
  .discriminatedUnion("of", [
    z.object({
      of: z.literal("limit"),
      limit: z.string(),
      key: z.string(),
      held: z.int(),
      bound: z.int(),
      doubt,
    }),
    z.object({ of: z.literal("slots") }),
    z.object({ of: z.literal("connection") }),
    z.object({ of: z.literal("nothing") }),
  ])
  .openapi("ReturnNeed") satisfies z.ZodType<bodies.ReturnNeed>;

const openCondition = z
  .union([z.object({ event: z.string(), if: z.string() }), z.object({ until: moment })])
  .openapi("OpenCondition") satisfies z.ZodType<bodies.OpenCondition>;

const waitReason = z
  .discriminatedUnion("kind", [
    z.object({
      kind: z.literal("running"),
      worker: z.string().nullable(),
      since: moment.nullable(),
    }),
    z.object({ kind: z.literal("children"), worker: z.string().nullable(), since: moment }),
    z.object({
      kind: z.literal("returning"),
      worker: z.string().nullable(),
      since: moment,
      needs: returnNeed,
    }),
    z.object({ kind: z.literal("finished"), state: z.enum(FINISHED_TASK_STATES) }),
    z.object({ kind: z.literal("parents"), parents: z.array(z.string()) }),
    z.object({
      kind: z.literal("wait"),
      since: moment,
      until: moment.nullable(),
      anyOf: z.array(z.array(openCondition)),
    }),
    z.object({ kind: z.literal("paused"), since: moment }),
    z.object({ kind: z.literal("delayed"), until: moment }),
    z.object({ kind: z.literal("backoff"), until: moment }),
    z.object({
      kind: z.literal("concurrency"),
      ...counted,
      held: z.int().openapi({ description: "At all shards." }),
      bound: z.int(),
      holders: z.array(limitHolderSchema),
      heldElsewhere: z.int().exactOptional().openapi({
        description: "Of `held`, those at other shards that did not say whose they are.",
      }),
      closedUntil: moment.exactOptional().openapi({
        description: "None is given before: until then nobody knows who holds what.",
      }),
    }),
    z.object({
      kind: z.literal("rate"),
      ...counted,
      units: z.number(),
      availableAt: moment,
      isPaused: z.boolean(),
    }),
    z.object({
      kind: z.literal("no_worker"),
      action: z.string(),
      detail: z.string(),
      elsewhere: z
        .object({ shard: z.int(), shards: z.array(z.int()) })
        .exactOptional()
        .openapi({
          description:
            "The shard at which it waits, and those at which a worker could take it: it is connected to them alone.",
        }),
      line,
    }),
    z.object({
      kind: z.literal("no_free_slot"),
      action: z.string(),
      used: z.int(),
      slots: z.int(),
      line,
    }),
    z.object({ kind: z.literal("next") }),
    z.object({ kind: z.literal("queue"), action: z.string(), line }),
    z.object({ kind: z.literal("arriving") }),
  ])
  .openapi("WaitReason") satisfies z.ZodType<bodies.WaitReason>;

export const whySchema = z
  .object({
    task: taskId,
    run: runId,
    step: z.string(),
    state: z.enum(TASK_STATES),
    sentence: z.string(),
    reason: waitReason,
  })
  .openapi("Why") satisfies z.ZodType<bodies.Why>;

export const taskParameters = z.object({ id: taskId });
