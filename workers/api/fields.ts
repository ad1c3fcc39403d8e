/**
 * Fields that several schemas of the API share: names, ids, times, JSON of bounded size, and what a
 * list is asked with.
 */
import { z } from "@hono/zod-openapi";
import { TASK_ERROR_CODES, type TaskError } from "../../protocol/errors.ts";
import { isId, isRunId } from "../../protocol/ids.ts";
import type { Json, Metadata } from "../../protocol/json.ts";
import {
  DEFAULT_PAGE_SIZE,
  MAX_EXPRESSION_LENGTH,
  MAX_IDEMPOTENCY_KEY_LENGTH,
  MAX_METADATA_BYTES,
  MAX_NAME_LENGTH,
  MAX_PAGE_SIZE,
  MAX_PAYLOAD_BYTES,
  PRIORITIES,
} from "../../protocol/limits.ts";

const encoder = new TextEncoder();

/** Characters are at least a byte and at most three: most values need no counting. */
function fitsBytes(value: unknown, limit: number): boolean {
  const text = JSON.stringify(value) ?? "";
  return text.length * 3 <= limit || encoder.encode(text).length <= limit;
}

export const anyJson = z
  .custom<Json>((value) => value !== undefined, "is missing")
  .openapi({
    description: "Any JSON",
    type: ["object", "array", "string", "number", "boolean", "null"],
  });

export const boundedJson = (what: string, otherwise = "null", most = MAX_PAYLOAD_BYTES) =>
  z
    .custom<Json>((value) => fitsBytes(value, most), {
      message: `is larger than the ${most} bytes of JSON that ${what} may have`,
      params: { code: "payload_too_large" },
    })
    .exactOptional()
    .openapi({
      description: `Any JSON, at most ${most} bytes. Default ${otherwise}.`,
      type: ["object", "array", "string", "number", "boolean", "null"],
    });

export const metadata: z.ZodType<Metadata> = z
  .record(z.string().min(1).max(MAX_NAME_LENGTH), z.string())
  .refine((value) => fitsBytes(value, MAX_METADATA_BYTES), {
    message: `is larger than the ${MAX_METADATA_BYTES} bytes of JSON that metadata may have`,
  })
  .openapi({ description: "Text labels to find it by.", example: { customer: "acme" } });

/** Names of workflows and steps: they become part of ids, addresses and actions. */
export const name = z
  .string()
  .min(1, "must not be empty")
  .max(MAX_NAME_LENGTH)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, {
    message:
      "must start with a letter or digit and have only letters, digits, dots, dashes and underscores",
  });

export const action = z
  .string()
  .min(1, "must not be empty")
  .max(MAX_NAME_LENGTH) // a session that offers it is held to the same
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]*$/, {
    message: "must start with a letter or digit and have only letters, digits, and . _ : / -",
  });

export const expression = z.string().min(1, "must not be empty").max(MAX_EXPRESSION_LENGTH);

export const idempotencyKey = z
  .string()
  .min(1, "must not be empty")
  .max(MAX_IDEMPOTENCY_KEY_LENGTH)
  .openapi({ description: "Two calls with the same key within a day are one." });

export const id = z
  .string()
  .refine(isId, { message: "is not an id: expected a UUID, version 7" })
  .openapi({ format: "uuid", example: "0199f3a2-7c1e-7000-8a4b-5d6e7f800000" });

export const runId = z
  .string()
  .refine(isRunId, { message: "is not a run's id: expected a UUID, version 7, that ends in 0000" })
  .openapi({ format: "uuid", example: "0199f3a2-7c1e-7000-8a4b-5d6e7f800000" });

export const taskId = z
  .string()
  .refine((text) => isId(text) && !isRunId(text), {
    message: "is not a task's id: `GET /runs/{id}` tells those of a run's tasks",
  })
  .openapi({ format: "uuid", example: "0199f3a2-7c1e-7000-8a4b-5d6e7f800001" });

/** Of a workflow's runs, or of one run. */
export const priority = z
  .int()
  .min(Math.min(...PRIORITIES))
  .max(Math.max(...PRIORITIES))
  .openapi({ description: `${PRIORITIES.join(", ")}: the last is the most urgent.` });

/** A time in an answer. */
export const moment = z.string().openapi({ format: "date-time" });

/** A time in a request. */
export const instant = z.iso.datetime({
  offset: true,
  message: "is not an ISO 8601 time such as 2026-01-31T12:00:00Z",
});

export const taskError = z
  .object({
    code: z.enum(TASK_ERROR_CODES),
    name: z.string(),
    message: z.string(),
    stack: z.string().exactOptional(),
    retryAfterMs: z.number().exactOptional(),
    isRetryable: z.literal(false).exactOptional(),
  })
  .openapi("TaskError") satisfies z.ZodType<TaskError>;

/** Which items of a list a call is about. */
export const limit = z.coerce
  .number()
  .int()
  .min(1)
  .max(MAX_PAGE_SIZE)
  .default(DEFAULT_PAGE_SIZE)
  .openapi({ description: "Items on a page." });

/** `isCursor` knows the form that the list gives its cursors. */
export const cursor = (isCursor: (text: string) => boolean) =>
  z
    .string()
    .refine(isCursor, {
      message: "is not a cursor of this list: give `nextCursor` of the page before, as it was",
    })
    .exactOptional()
    .openapi({ description: "`nextCursor` of the page before." });

/** One page of a list. */
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({ items: z.array(item), nextCursor: z.string().nullable() });

export const nameParameters = z.object({ name });
