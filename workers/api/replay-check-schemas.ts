/**
 * The zod schemas of a replay check. Each is held to its type in `protocol/replay-check-bodies.ts` by the compiler.
 */
import { z } from "@hono/zod-openapi";
import { isRunId } from "../../protocol/ids.ts";
import { DEFAULT_CHECKED_RUNS, MAX_CHECKED_RUNS, MAX_IMPORTS } from "../../protocol/limits.ts";
import type * as bodies from "../../protocol/replay-check-bodies.ts";
import { DIVERGENCE_KINDS } from "../../protocol/replay-check-bodies.ts";
import { FINISHED_RUN_STATES } from "../../protocol/states.ts";
import { cursor, id, instant, runId } from "./fields.ts";
import { runExportSchema } from "./history-schemas.ts";
import { definitionSchema } from "./workflow-schemas.ts";

const CURSOR = /^([^/]+)\/(\d{1,4})$/;

/** The last run that was dealt with, and how many more may be. */
export function partsOfCursor(text: string): { before: string; left: number } | undefined {
  const [, before = "", left] = CURSOR.exec(text) ?? [];
  return isRunId(before) ? { before, left: Number(left) } : undefined;
}

const checkedRuns = z
  .strictObject({
    ids: z.array(runId).min(1).max(MAX_CHECKED_RUNS).exactOptional(),
    last: z
      .int()
      .min(1)
      .max(MAX_CHECKED_RUNS)
      .exactOptional()
      .openapi({ description: `How many at most, the last. Default ${DEFAULT_CHECKED_RUNS}.` }),
    state: z.enum(FINISHED_RUN_STATES).exactOptional(),
    since: instant.exactOptional(),
    until: instant.exactOptional(),
    version: z.int().min(1).exactOptional().openapi({ description: "Only runs of this version." }),
  })
  .refine(({ ids, ...others }) => ids === undefined || Object.keys(others).length === 0, {
    path: ["ids"],
    message: "say which runs: nothing else can be said beside them",
  })
  .openapi("CheckedRuns") satisfies z.ZodType<bodies.CheckedRuns>;

export const checkReplaySchema = z
  .strictObject({
    definition: definitionSchema.exactOptional(),
    version: z.int().min(1).exactOptional().openapi({
      description: "The number of a registered version. This or `definition`.",
    }),
    runs: checkedRuns.exactOptional(),
    documents: z.array(runExportSchema).min(1).max(MAX_CHECKED_RUNS).exactOptional().openapi({
      description: "Exports of finished runs of the workflow, from wherever.",
    }),
    imports: z.array(id).min(1).max(MAX_IMPORTS).exactOptional(),
    cursor: cursor((text) => partsOfCursor(text) !== undefined),
  })
  .refine(({ definition, version }) => (definition === undefined) !== (version === undefined), {
    path: ["definition"],
    message: "or version is what runs are held against: give one of the two",
  })
  .refine(
    ({ cursor: after, documents, imports }) =>
      after === undefined || (documents === undefined && imports === undefined),
    { path: ["cursor"], message: "goes on with runs: documents and imports have been checked" },
  )
  .openapi("CheckReplay") satisfies z.ZodType<bodies.CheckReplay>;

const divergence = z
  .object({
    run: runId,
    version: z.int(),
    step: z.string().nullable(),
    kind: z.enum(DIVERGENCE_KINDS),
    was: z.string(),
    would: z.string(),
    message: z.string(),
  })
  .openapi("Divergence") satisfies z.ZodType<bodies.Divergence>;

export const replayCheckSchema = z
  .object({
    workflow: z.string(),
    version: z.int().nullable().openapi({ description: "Null: a definition that was given." }),
    checked: z.int(),
    same: z.int(),
    divergent: z.int(),
    byKind: z.record(z.string(), z.int()),
    divergences: z.array(divergence),
    more: z.int().openapi({ description: "Divergences that are not listed." }),
    tooLarge: z.array(runId),
    nextCursor: z.string().nullable(),
  })
  .openapi("ReplayCheck") satisfies z.ZodType<bodies.ReplayCheck>;
