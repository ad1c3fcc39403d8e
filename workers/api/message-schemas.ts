/**
 * The zod schemas of messages and queues. Each is held to its type in `protocol/message-bodies.ts` by the
 * compiler.
 */
import { z } from "@hono/zod-openapi";
import { isId } from "../../protocol/ids.ts";
import { MAX_BULK, MAX_NAME_LENGTH } from "../../protocol/limits.ts";
import * as bodies from "../../protocol/message-bodies.ts";
import { anyJson, cursor, id, limit, moment } from "./fields.ts";

const queue = z.enum(bodies.QUEUES);

export const deadMessageSchema = z
  .object({
    id,
    queue,
    kind: z.string(),
    reason: z.object({
      code: z.enum(bodies.DEAD_CODES).openapi({
        description:
          "`refused`: Postgres refused it, and would again. `unknown_kind`: nobody handles such messages.",
      }),
      message: z.string(),
    }),
    reads: z.int(),
    sentAt: moment,
    diedAt: moment,
  })
  .openapi("DeadMessage") satisfies z.ZodType<bodies.DeadMessage>;

export const deadMessageWithBodySchema = deadMessageSchema
  .extend({ body: anyJson })
  .openapi("DeadMessageWithBody") satisfies z.ZodType<bodies.DeadMessageWithBody>;

export const changedMessagesSchema = z
  .object({ ids: z.array(id) })
  .openapi("ChangedMessages") satisfies z.ZodType<bodies.ChangedMessages>;

export const queueStateSchema = z
  .object({
    name: z.enum([...bodies.QUEUES, "dead"]),
    depth: z.int(),
    oldestSentAt: moment.nullable(),
    oldestAgeMs: z.number().nullable(),
    readsPerMessage: z.number().nullable().openapi({
      description: "On average: more than 1 says that some had to wait.",
    }),
    mostReads: z.int().nullable(),
  })
  .openapi("Queue") satisfies z.ZodType<bodies.QueueState>;

export const messageParameters = z.object({ id });

export const messageIdsSchema = z
  .strictObject({ ids: z.array(id).min(1).max(MAX_BULK) })
  .openapi("MessageIds");

export const listDeadMessagesQuery = z.strictObject({
  limit,
  cursor: cursor(isId),
  kind: z.string().min(1).max(MAX_NAME_LENGTH).exactOptional(),
});
