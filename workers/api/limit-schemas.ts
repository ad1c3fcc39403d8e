/**
 * The zod schemas of limits: those of workflows and steps, those that are stored, and how they are used
 * now. Each is held to its type in `protocol/limit-bodies.ts` by the compiler. Unknown fields are errors.
 */
import { z } from "@hono/zod-openapi";
import type * as bodies from "../../protocol/limit-bodies.ts";
import {
  MAX_CONCURRENCY,
  MAX_KEY_LENGTH,
  MAX_LIMIT_USES,
  MAX_OVERRIDES,
  MAX_RATE_UNITS,
  MAX_RATE_WINDOW_MS,
  MAX_RATE_WINDOWS,
  MAX_WEIGHT,
  MIN_WEIGHT,
} from "../../protocol/limits.ts";
import { LIMIT_KINDS, LIMIT_STRATEGIES } from "../../protocol/states.ts";
import { action, cursor, expression, id, limit, moment, name, runId } from "./fields.ts";
import { type Broken, brokenInStored, brokenInUse, brokenInWindows } from "./limit-rules.ts";

/** Holds a value to rules that are over several of its fields. */
export function heldTo<Value>(rules: (value: Value) => Broken[]) {
  return (value: Value, context: z.RefinementCtx<Value>): void => {
    for (const broken of rules(value)) context.addIssue({ code: "custom", ...broken });
  };
}

const positive = (most: number) => z.number().gt(0, "must be more than 0").max(most);

const key = z.string().min(1, "must not be empty").max(MAX_KEY_LENGTH);

const amount = (number: z.ZodNumber) =>
  z.union([number, expression], { error: "must be a number, or a text with an expression" });

const window = z
  .strictObject({
    units: positive(MAX_RATE_UNITS).openapi({ description: "Units that it gets in `perMs`." }),
    perMs: z.int().min(1).max(MAX_RATE_WINDOW_MS),
    burst: positive(MAX_RATE_UNITS)
      .exactOptional()
      .openapi({ description: "Units that it holds at most. Default `units`." }),
  })
  .openapi("RateWindow") satisfies z.ZodType<bodies.RateWindow>;

const bound = {
  concurrency: z
    .int()
    .min(1)
    .max(MAX_CONCURRENCY)
    .exactOptional()
    .openapi({ description: "How many there may be at once." }),
  rate: z
    .array(window)
    .min(1)
    .max(MAX_RATE_WINDOWS)
    .superRefine(heldTo(brokenInWindows))
    .exactOptional()
    .openapi({ description: "Token buckets; a task takes its units of each." }),
};

const counted = {
  key: expression.exactOptional().openapi({
    description:
      "CEL over `input`, `metadata` and, but for a workflow's, `parents`: a text or number by which it is counted.",
    example: "input.customer",
  }),
  fallbackKey: key.exactOptional().openapi({
    description: "The key where that can't be evaluated; without one the run fails.",
  }),
  units: amount(positive(MAX_RATE_UNITS))
    .exactOptional()
    .openapi({ description: "What a task takes of a rate: a number, or CEL. Default 1." }),
  strategy: z
    .enum(LIMIT_STRATEGIES)
    .exactOptional()
    .openapi({ description: "What happens when a concurrency is full. Default `queue`." }),
};

const weight = z.number().min(MIN_WEIGHT).max(MAX_WEIGHT);

const limitUse = z
  .strictObject({
    limit: name.exactOptional().openapi({ description: "A stored limit's name." }),
    ...bound,
    ...counted,
    weight: amount(weight)
      .exactOptional()
      .openapi({ description: "The key's share beside other keys: a number, or CEL. Default 1." }),
  })
  .superRefine(heldTo(brokenInUse))
  .openapi("LimitUse") satisfies z.ZodType<bodies.LimitUse>;

export const limitUses = z.array(limitUse).max(MAX_LIMIT_USES).exactOptional();

const override = z
  .strictObject({
    key: key
      .regex(/^[^*]*\*?$/, "must have * only as its last character")
      .openapi({ description: "A key, or the beginning of keys and `*`." }),
    ...bound,
    weight: weight.exactOptional(),
  })
  .openapi("LimitOverride") satisfies z.ZodType<bodies.LimitOverride>;

const stored = {
  description: z.string().max(10_000).exactOptional(),
  ...bound,
  ...counted,
  appliesTo: z
    .union([z.strictObject({ tenant: z.literal(true) }), z.strictObject({ action })], {
      error: 'must be {"tenant": true} or {"action": "NAME"}',
    })
    .exactOptional()
    .openapi({
      description: "Tasks that are under it without naming it. Default none.",
    }),
  overrides: z
    .array(override)
    .max(MAX_OVERRIDES)
    .exactOptional()
    .openapi({ description: "Other bounds or shares of some keys; the first that fits counts." }),
};

export const putLimitSchema = z
  .strictObject(stored)
  .superRefine(heldTo(brokenInStored))
  .openapi("PutLimit") satisfies z.ZodType<bodies.PutLimit>;

export const storedLimitSchema = z
  .object({
    name: z.string(),
    kind: z.enum(LIMIT_KINDS),
    ...stored,
    createdAt: moment,
    updatedAt: moment,
  })
  .openapi("StoredLimit") satisfies z.ZodType<bodies.StoredLimit>;

export const limitHolderSchema = z
  .object({ run: runId, task: id.exactOptional(), attempt: z.int().exactOptional() })
  .openapi("LimitHolder") satisfies z.ZodType<bodies.LimitHolder>;

const keyState = z
  .object({
    key: z.string().openapi({ description: "The empty text: all together." }),
    held: z.int().exactOptional(),
    limit: z.int().exactOptional(),
    holders: z.array(limitHolderSchema).exactOptional(),
    available: z
      .number()
      .exactOptional()
      .openapi({ description: "Units in the window that has least." }),
    pausedUntil: moment.exactOptional(),
    waiting: z.int().openapi({
      description: "Tasks in memory that wait for it; there may be more in the queue.",
    }),
  })
  .openapi("LimitKeyState") satisfies z.ZodType<bodies.LimitKeyState>;

export const limitStateSchema = storedLimitSchema
  .extend({
    workflows: z.array(z.string()),
    keys: z.array(keyState),
    hasMoreKeys: z.boolean(),
  })
  .openapi("LimitState") satisfies z.ZodType<bodies.LimitState>;

export const listLimitsQuery = z.strictObject({
  limit,
  cursor: cursor((text) => name.safeParse(text).success),
});
