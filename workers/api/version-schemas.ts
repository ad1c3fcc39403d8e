/**
 * The zod schemas of versions: activation, promotion, differences and changes. Each is held to its type in
 * `protocol/version-bodies.ts` by the compiler.
 */
import { z } from "@hono/zod-openapi";
import {
  DEFAULT_ROLLBACK_RUNS,
  DEFAULT_ROLLBACK_WINDOW_MS,
  MAX_EXPRESSION_LENGTH,
  MAX_REASON_LENGTH,
  MAX_ROLLBACK_RUNS,
  MAX_ROLLBACK_WINDOW_MS,
  MIN_ROLLBACK_WINDOW_MS,
} from "../../protocol/limits.ts";
import { isId } from "../../protocol/ids.ts";
import { ACTIVATION_CHOICES, WORKFLOW_CHANGE_KINDS } from "../../protocol/states.ts";
import type * as bodies from "../../protocol/version-bodies.ts";
import { anyJson, cursor, id, limit, moment, name } from "./fields.ts";

/** Of a version, from 1. Postgres has no larger ones. */
const number = z.int().min(1).max(2_147_483_647).openapi({ description: "The version's number." });

const numberInAddress = z.coerce
  .number({ error: "must be the number of a version, from 1" })
  .pipe(number);

const reason = z
  .string()
  .min(1, "must not be empty")
  .max(MAX_REASON_LENGTH)
  .exactOptional()
  .openapi({ description: "Why, as the list of changes shows it." });

const rule = {
  failureRate: z
    .number()
    .gt(0, "must be more than 0")
    .max(1)
    .openapi({ description: "The part of its runs that may fail: as much, and it ends." }),
  windowMs: z
    .int()
    .min(MIN_ROLLBACK_WINDOW_MS)
    .max(MAX_ROLLBACK_WINDOW_MS)
    .openapi({
      description: `Milliseconds that are looked back at. Default ${DEFAULT_ROLLBACK_WINDOW_MS}.`,
    }),
  minimumRuns: z
    .int()
    .min(1)
    .max(MAX_ROLLBACK_RUNS)
    .openapi({
      description: `Runs that must have ended in that time. Default ${DEFAULT_ROLLBACK_RUNS}.`,
    }),
};

const rollbackWhen = z
  .strictObject({
    failureRate: rule.failureRate,
    windowMs: rule.windowMs.exactOptional(),
    minimumRuns: rule.minimumRuns.exactOptional(),
  })
  .openapi("RollbackRule") satisfies z.ZodType<bodies.RollbackRule>;

const percent = z
  .number()
  .min(0)
  .max(100)
  .refine((value) => Math.abs(value * 100 - Math.round(value * 100)) < 1e-6, {
    message: "must have at most two decimals",
  })
  .openapi({ description: "Of new runs.", example: 10 });

const key = z
  .string()
  .max(MAX_EXPRESSION_LENGTH)
  .regex(/^(input|metadata)(\.[^.[\]\s"']+)+$/, {
    message: "must be a path such as input.customer or metadata.region",
  })
  .openapi({
    description:
      "Where in a run the value is by which runs stay together. Default each by its idempotency key, or for itself.",
    example: "input.customer",
  });

export const promoteVersionSchema = z
  .strictObject({
    version: number,
    percent,
    key: key.exactOptional(),
    rollbackWhen: rollbackWhen
      .exactOptional()
      .openapi({ description: "When it ends by itself. Default never." }),
    reason,
  })
  .openapi("PromoteVersion") satisfies z.ZodType<bodies.PromoteVersion>;

export const promotionSchema = z
  .object({
    version: number,
    percent: z.number(),
    key: z.string().nullable(),
    rollbackWhen: z.object(rule).nullable(),
    startedAt: moment,
  })
  .openapi("Promotion") satisfies z.ZodType<bodies.Promotion>;

export const activateVersionSchema = z
  .strictObject({ version: number, reason })
  .openapi("ActivateVersion") satisfies z.ZodType<bodies.ActivateVersion>;

export const rollBackSchema = z
  .strictObject({
    version: number.exactOptional().openapi({
      description: "Default the newest older one that has been active.",
    }),
    from: number.exactOptional().openapi({
      description:
        "The active version that is to be left: when it is no longer active, nothing happens. With it the call may be repeated.",
    }),
    reason,
  })
  .openapi("RollBack") satisfies z.ZodType<bodies.RollBack>;

export const endPromotionQuery = z.strictObject({ reason });

export const registerQuery = z.strictObject({
  activate: z.enum(ACTIVATION_CHOICES).exactOptional().openapi({
    description:
      "Whether new runs are bound to it: when it is a new version (`new`, the default), also when it equals an older one (`always`), or not by this call (`never`). A workflow's first version is active in any case.",
  }),
}) satisfies z.ZodType<bodies.RegisterQuery>;

export const versionParameters = z.object({ name, number: numberInAddress });

export const versionSummarySchema = z
  .object({
    id,
    number: z.int(),
    checksum: z.string(),
    createdAt: moment,
    isActive: z.boolean(),
    percent: z.number(),
    registeredBy: z.string().nullable(),
  })
  .openapi("VersionSummary") satisfies z.ZodType<bodies.VersionSummary>;

export const listVersionsQuery = z.strictObject({
  limit,
  cursor: cursor((text) => /^[1-9]\d{0,9}$/.test(text)),
});

export const listChangesQuery = z.strictObject({ limit, cursor: cursor(isId) });

export const diffQuery = z.strictObject({
  from: numberInAddress,
  to: numberInAddress.exactOptional().openapi({ description: "Default the active version." }),
});

const differences = z.array(
  z.object({ path: z.string(), from: anyJson.exactOptional(), to: anyJson.exactOptional() }),
);

export const versionDiffSchema = z
  .object({
    from: z.int(),
    to: z.int(),
    isSame: z.boolean(),
    workflow: differences,
    steps: z.object({
      added: z.array(z.string()),
      removed: z.array(z.string()),
      changed: z.array(z.object({ name: z.string(), differences })),
    }),
  })
  .openapi("VersionDiff") satisfies z.ZodType<bodies.VersionDiff>;

export const workflowChangeSchema = z
  .object({
    id,
    at: moment,
    kind: z.enum(WORKFLOW_CHANGE_KINDS),
    version: z.int(),
    previousVersion: z.int().nullable(),
    isActive: z.boolean(),
    by: z.string().nullable(),
    reason: z.string().nullable(),
    details: anyJson,
  })
  .openapi("WorkflowChange") satisfies z.ZodType<bodies.WorkflowChange>;
