/**
 * The zod schemas of what a step waits for, in a definition and as a run shows it. Each is held to its type in
 * `protocol/bodies.ts` by the compiler.
 */
import { z } from "@hono/zod-openapi";
import type * as bodies from "../../protocol/wait-bodies.ts";
import {
  MAX_LOOK_BACK_MS,
  MAX_NAME_LENGTH,
  MAX_WAIT_CONDITIONS,
  MAX_WAIT_MS,
} from "../../protocol/limits.ts";
import type { MetCondition } from "../../protocol/session.ts";
import { TIMEOUT_CHOICES } from "../../protocol/states.ts";
import { anyJson, expression, id, metadata, moment } from "./fields.ts";
import { heldTo } from "./limit-schemas.ts";
import { brokenInWaitFor } from "./wait-rules.ts";

/** The key of one event. */
export const eventKey = z
  .string()
  .min(1, "must not be empty")
  .max(MAX_NAME_LENGTH)
  .regex(/^[^\s*]*$/, { message: "must be the key of an event in full: no spaces, and no *" });

const milliseconds = (max: number, description: string) =>
  z.int().min(1).max(max).exactOptional().openapi({ description });

const awaited = {
  event: eventKey
    .exactOptional()
    .openapi({ description: "An event's key, in full. It must come after the wait has begun." }),
  if: expression.exactOptional().openapi({
    description:
      "Of an event: CEL over `event.key`, `event.payload`, `event.metadata`, `input`, `metadata` and `parents`. One that can't be evaluated is not met. Default true.",
    example: "event.payload.id == input.id",
  }),
  withinMs: milliseconds(
    MAX_LOOK_BACK_MS,
    "Of an event: it may have come so many milliseconds before; the latest counts.",
  ),
  sleepMs: milliseconds(MAX_WAIT_MS, "Milliseconds from the wait's beginning."),
};

const group = <Part extends z.ZodType>(part: Part) => ({
  any: z.array(part).min(1).max(MAX_WAIT_CONDITIONS).exactOptional().openapi({
    description: "One of them is enough.",
  }),
  all: z.array(part).min(1).max(MAX_WAIT_CONDITIONS).exactOptional().openapi({
    description: "It takes all of them.",
  }),
});

const one = z.strictObject(awaited).openapi("AwaitedCondition", {
  description: "An event or a sleep: `event` or `sleepMs`.",
}) satisfies z.ZodType<bodies.AwaitedCondition>;

const some = z.strictObject({ ...awaited, ...group(one) }).openapi("WaitCondition", {
  description: "Exactly one of `event`, `sleepMs`, `any` and `all`.",
}) satisfies z.ZodType<bodies.WaitCondition>;

export const waitFor = z
  .strictObject({
    ...awaited,
    ...group(some),
    timeoutMs: milliseconds(
      MAX_WAIT_MS,
      "Until the wait is over, whatever has come. Default never.",
    ),
    onTimeout: z.enum(TIMEOUT_CHOICES).exactOptional().openapi({
      description: "What becomes of the task then. Default `fail`.",
    }),
  })
  .superRefine(heldTo(brokenInWaitFor))
  .openapi("WaitFor", {
    description: `Exactly one of \`event\`, \`sleepMs\`, \`any\` and \`all\`; at most ${MAX_WAIT_CONDITIONS} events and sleeps.`,
  }) satisfies z.ZodType<bodies.WaitFor>;

const metCondition = z
  .object({
    condition: z.int(),
    at: z.number(),
    event: z
      .object({ id, key: z.string(), payload: anyJson, metadata })
      .exactOptional()
      .openapi({ description: "Absent: it was a sleep." }),
  })
  .openapi("MetCondition") satisfies z.ZodType<MetCondition>;

export const taskWait = z
  .object({
    since: moment,
    timesOutAt: moment.nullable(),
    endedAt: moment.nullable(),
    isMet: z.boolean().nullable(),
    met: z.array(metCondition),
  })
  .openapi("TaskWait") satisfies z.ZodType<bodies.TaskWait>;
