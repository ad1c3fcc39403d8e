/**
 * The zod schemas of what is done to runs that are there: which ones, cancelling and replaying them.
 * Each is held to its type in `protocol/http.ts` by the compiler.
 */
import { z } from "@hono/zod-openapi";
import type * as http from "../../protocol/http.ts";
import { isId, isRunId } from "../../protocol/ids.ts";
import { MAX_BY_FILTER, MAX_IDEMPOTENCY_KEY_LENGTH } from "../../protocol/limits.ts";
import { FINISHED_RUN_STATES, RUN_STATES } from "../../protocol/states.ts";
import {
  boundedJson,
  cursor,
  id,
  idempotencyKey,
  instant,
  metadata,
  name,
  runId,
} from "./fields.ts";

/** Characters of the reason for a cancellation: it is kept with every task that it ends. */
const MAX_REASON_LENGTH = 1_000;

const runState = z.enum(RUN_STATES);

/** At least one field, so that nobody means a few runs and says all. */
function filterOf<State extends z.ZodType<http.RunFilter["state"]>>(state: State) {
  return z
    .strictObject({
      workflow: name.exactOptional(),
      state: state.exactOptional(),
      since: instant.exactOptional(),
      until: instant.exactOptional(),
      metadata: metadata
        .refine((labels) => Object.keys(labels).length > 0, "must have at least one label")
        .exactOptional(),
      eventId: id.exactOptional(),
      scheduleId: id.exactOptional(),
    })
    .refine((filter) => Object.keys(filter).length > 0, {
      message:
        "must have at least one of workflow, state, since, until, metadata, eventId and scheduleId: say which runs are meant",
    });
}

export const cancelRunSchema = z
  .strictObject({
    reason: z
      .string()
      .min(1, "must not be empty")
      .max(MAX_REASON_LENGTH)
      .exactOptional()
      .openapi({ description: "Shown in the run's error." }),
  })
  .openapi("CancelRun") satisfies z.ZodType<http.CancelRun>;

export const cancelledRunSchema = z
  .object({ id: runId, state: runState, cancelled: z.boolean() })
  .openapi("CancelledRun") satisfies z.ZodType<http.CancelledRun>;

export const cancelRunsSchema = filterOf(runState.exclude(FINISHED_RUN_STATES)).openapi(
  "UnfinishedRuns",
) satisfies z.ZodType<http.RunFilter>;

export const cancelledRunsSchema = z
  .object({ cancelled: z.int(), hasMore: z.boolean() })
  .openapi("CancelledRuns") satisfies z.ZodType<http.CancelledRuns>;

const version = z.enum(["original", "active"]).exactOptional().openapi({
  description:
    "`original` (the default), or `active`: the workflow's newest, which reuses nothing.",
});

const fromFailure = z
  .boolean()
  .exactOptional()
  .openapi({ description: "Begin with what failed; outputs of completed steps are reused." });

/** Steps of another version are other steps, though they have the same names. */
function reusesWithinVersion(replay: http.ReplayRun): boolean {
  const reuses = replay.fromStep !== undefined || replay.fromFailure === true;
  return !(reuses && replay.version === "active");
}
const REUSE_ACROSS_VERSIONS = {
  path: ["version"],
  message:
    "must be original, or left out, with fromStep or fromFailure: outputs are reused within one version only",
};

export const replayRunSchema = z
  .strictObject({
    fromStep: name.exactOptional().openapi({
      description: "Begin with this step; outputs of steps that don't depend on it are reused.",
    }),
    fromFailure,
    input: boundedJson("an input", "the original's"),
    version,
    idempotencyKey: idempotencyKey.exactOptional(),
  })
  .refine((replay) => replay.fromStep === undefined || replay.fromFailure !== true, {
    path: ["fromFailure"],
    message: "can't be given together with fromStep: leave one out",
  })
  .refine(reusesWithinVersion, REUSE_ACROSS_VERSIONS)
  .openapi("ReplayRun") satisfies z.ZodType<http.ReplayRun>;

/** The key of each replay is the call's with the original's id behind it. */
export const MAX_CALL_KEY_LENGTH =
  MAX_IDEMPOTENCY_KEY_LENGTH - "/0199f3a2-7c1e-7000-8a4b-5d6e7f800000".length;

/** The last run that was taken, and the id below which all that are taken are. */
function isReplayCursor(text: string): boolean {
  const [after = "", before = "", ...rest] = text.split("/");
  return isRunId(after) && isId(before) && rest.length === 0;
}

export const replayRunsSchema = z
  .strictObject({
    filter: filterOf(runState.extract(FINISHED_RUN_STATES)).openapi("FinishedRuns"),
    fromFailure,
    version,
    idempotencyKey: idempotencyKey.max(MAX_CALL_KEY_LENGTH).exactOptional(),
    cursor: cursor(isReplayCursor),
  })
  .refine(reusesWithinVersion, REUSE_ACROSS_VERSIONS)
  .openapi("ReplayRuns") satisfies z.ZodType<http.ReplayRuns>;

export const replayedRunsSchema = z
  .object({
    runs: z.array(z.object({ id: runId, replayOf: runId })).max(MAX_BY_FILTER),
    nextCursor: z.string().nullable(),
  })
  .openapi("ReplayedRuns") satisfies z.ZodType<http.ReplayedRuns>;
