/**
 * The zod schemas of history as documents: a run's export, imports, and how long history is kept. Each is held
 * to its type in `protocol/history-bodies.ts` by the compiler.
 */
import { z } from "@hono/zod-openapi";
import type * as bodies from "../../protocol/history-bodies.ts";
import { EXPORT_FORMAT, EXPORT_FORMAT_VERSION } from "../../protocol/history-bodies.ts";
import { isId } from "../../protocol/ids.ts";
import { MAX_RETENTION_DAYS, MIN_RETENTION_DAYS } from "../../protocol/limits.ts";
import { RUN_STATES, TIMER_KINDS } from "../../protocol/states.ts";
import { anyJson, cursor, id, limit, metadata, moment, name, runId } from "./fields.ts";
import { logLineSchema, runSchema } from "./run-schemas.ts";
import { definitionSchema } from "./workflow-schemas.ts";

/** Skein's own workflows have runs as well, and names that nobody else may take. */
const exportedDefinition = definitionSchema.extend({ name }).openapi("ExportedDefinition");

const exportedEvent = z
  .object({
    id,
    key: z.string(),
    scope: z.string().nullable(),
    payload: anyJson,
    metadata,
    replayOf: id.nullable(),
    publishedAt: moment,
  })
  .openapi("ExportedEvent") satisfies z.ZodType<bodies.ExportedEvent>;

export const runExportSchema = z
  .strictObject({
    format: z.literal(EXPORT_FORMAT),
    formatVersion: z.literal(EXPORT_FORMAT_VERSION),
    isFinished: z.boolean().openapi({
      description: "False: the run was going on, and is shown as it was then.",
    }),
    run: runSchema,
    workflow: z.object({ id, name }),
    version: z.object({
      id,
      number: z.int().min(1),
      checksum: z.string(),
      createdAt: moment,
      definition: exportedDefinition,
    }),
    event: exportedEvent.nullable().openapi({
      description: "Null: no event started the run, or it is not kept any more.",
    }),
    filter: z.object({ id, payload: anyJson }).nullable(),
    parentKey: z.string().nullable(),
    reusedSteps: z.array(z.string()),
    priority: z.int().nullable(),
    timeoutMs: z.number().nullable(),
    timers: z.array(
      z.object({
        task: id.nullable(),
        kind: z.enum(TIMER_KINDS),
        dueAt: moment.nullable(),
      }),
    ),
    logs: z.array(logLineSchema).nullable(),
  })
  .openapi("RunExport") satisfies z.ZodType<bodies.RunExport>;

export const exportQuery = z.strictObject({
  logs: z
    .enum(["true", "false"])
    .default("true")
    .openapi({ description: "`false` leaves out what its handlers logged." }),
});

const importSummary = z.object({
  id,
  run: runId,
  workflow: z.string(),
  version: z.int(),
  state: z.enum(RUN_STATES),
  bytes: z.int(),
  importedAt: moment,
});

export const importSummarySchema = importSummary.openapi(
  "ImportSummary",
) satisfies z.ZodType<bodies.ImportSummary>;

export const createdImportSchema = importSummary
  .extend({ created: z.boolean() })
  .openapi("CreatedImport") satisfies z.ZodType<bodies.CreatedImport>;

export const importSchema = importSummary
  .extend({ document: runExportSchema })
  .openapi("Import") satisfies z.ZodType<bodies.Import>;

export const importParameters = z.object({ id });

export const listImportsQuery = z.strictObject({ limit, cursor: cursor(isId) });

export const retentionSchema = z
  .strictObject({
    days: z
      .int()
      .min(MIN_RETENTION_DAYS)
      .max(MAX_RETENTION_DAYS)
      .nullable()
      .openapi({
        description: `For so many days after its end a run may be read, and an event after its publication: ${MIN_RETENTION_DAYS} to ${MAX_RETENTION_DAYS}. Null: for ever.`,
      }),
  })
  .openapi("Retention") satisfies z.ZodType<bodies.Retention>;
