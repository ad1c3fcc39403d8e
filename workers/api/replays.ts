/**
 * Replaying finished runs, one or those that a filter means: each as a new run that knows which one
 * it repeats. The original stays as it is.
 */
import { createRoute, OpenAPIHono } from "@hono/zod-openapi";
import {
  findFinishedRuns,
  type FinishedRun,
  type Original,
  readOriginals,
  readProgress,
  readStepNodes,
} from "../../database/read-originals.ts";
import { connectReads, type Reads } from "../../database/reads.ts";
import { databaseOf } from "../../database/tenant-database.ts";
import type { ReplayRun } from "../../protocol/http.ts";
import { MAX_BY_FILTER } from "../../protocol/limits.ts";
import { isFinishedRun } from "../../protocol/states.ts";
import { reusableSteps } from "../definitions/reusable-steps.ts";
import { replayRow } from "../definitions/start-row.ts";
import type { AppTypes } from "../environment.ts";
import { startAtShard } from "../shard-calls.ts";
import { idOfFirstCall, takeFitting } from "./by-filter.ts";
import { replayedRunsSchema, replayRunSchema, replayRunsSchema } from "./change-schemas.ts";
import { answers, BODY_PROBLEMS, json, optionalJson, refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";
import { refuseUnknownRun, startedRuns } from "./runs.ts";
import { runParameters, startedRunSchema } from "./run-schemas.ts";
import { readsOf } from "./tenant-data.ts";

/** What a step of a run weighs beside its input: rows to be read and written. */
const STEP_BYTES = 100;

const replay = createRoute({
  method: "post",
  path: "/runs/{id}/replay",
  tags: ["Runs"],
  operationId: "replayRun",
  summary: "Replay a finished run as a new one",
  description:
    "All of it, or from a step or from what failed: then outputs of steps before are reused, but for those of steps that were compensated. Input, metadata and version are the original's unless the body says otherwise.",
  request: { params: runParameters, body: optionalJson(replayRunSchema) },
  responses: answers(
    {
      200: ["The replay that had this idempotency key", startedRunSchema],
      201: ["Started", startedRunSchema],
    },
    [...BODY_PROBLEMS, "run_not_found", "run_not_finished", "workflow_paused", "overloaded"],
  ),
});

const replayMany = createRoute({
  method: "post",
  path: "/runs/replay",
  tags: ["Runs"],
  operationId: "replayRuns",
  summary: "Replay up to 1,000 finished runs that fit a filter",
  description:
    "Runs that were created before the first call, oldest first; give `nextCursor` as `cursor` for the next ones. With `fromFailure`, completed runs are left out. With an idempotency key the call may be repeated: it answers with the same replays.",
  request: { body: json(replayRunsSchema) },
  responses: answers({ 201: ["Started", replayedRunsSchema] }, [
    ...BODY_PROBLEMS,
    "workflow_paused",
    "overloaded",
  ]),
});

export const replays = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(replayMany, async (context) => {
    const {
      filter,
      cursor,
      idempotencyKey,
      fromFailure = false,
      ...body
    } = context.req.valid("json");
    const { env } = context;
    const { tenant } = context.var;
    const reads = connectReads(databaseOf(env, tenant));
    const [after, ofFirstCall] = cursor?.split("/") ?? [];
    const before =
      ofFirstCall ?? (await idOfFirstCall(env, tenant, { kind: "replay", key: idempotencyKey }));
    const found = await findFinishedRuns(reads, tenant, filter, {
      before,
      after,
      skipsCompleted: fromFailure,
      limit: MAX_BY_FILTER + 1,
    });
    const taken = takeFitting(found, weightOf).map(({ id }) => id);
    const last = taken.at(-1);
    if (last === undefined) return context.json({ runs: [], nextCursor: null }, 201);

    const originals = await readOriginals(reads, tenant, taken);
    const reused = fromFailure ? await findReusable(reads, tenant, originals) : new Map();
    const started = await startAtShard(env, tenant, (definitions) => ({
      events: [],
      runs: originals.map((original) =>
        replayRow(definitions, original, {
          isOfActiveVersion: body.version === "active",
          reused: reused.get(original.id) ?? [],
          k: idempotencyKey && `${idempotencyKey}/${original.id}`,
        }),
      ),
      bytes: bytesOf(originals),
    }));
    const runs = startedRuns(started).map(({ id }, index) => ({
      id,
      replayOf: originals[index]?.id ?? "",
    }));
    const hasMore = found.length > taken.length;
    return context.json({ runs, nextCursor: hasMore ? `${last}/${before}` : null }, 201);
  })
  .openapi(replay, async (context) => {
    const { id } = context.req.valid("param");
    const body: ReplayRun = context.req.valid("json");
    const { tenant } = context.var;
    const reads = readsOf(context);
    const [original = refuseUnknownRun(id)] = await readOriginals(reads, tenant, [id]);
    if (!isFinishedRun(original.state)) {
      throw new ProblemError(
        "run_not_finished",
        `The run ${id} is ${original.state}. Wait until it has finished, or cancel it first with POST /api/v1/runs/${id}/cancel.`,
      );
    }
    const reused = await findReused(reads, tenant, original, body);
    const started = await startAtShard(context.env, tenant, (definitions) => ({
      events: [],
      runs: [
        replayRow(definitions, original, {
          isOfActiveVersion: body.version === "active",
          reused,
          k: body.idempotencyKey,
          ...(body.input !== undefined && { i: body.input }),
        }),
      ],
      bytes: bytesOf([original]) + context.var.bodyBytes,
    }));
    const [run] = startedRuns(started);
    if (run === undefined) throw new Error("A replay of one run started none");
    return run.created
      ? context.json(run, 201, { location: `/api/v1/runs/${run.id}` })
      : context.json(run, 200);
  });

/** Numbers of the steps whose outputs a replay of this run reuses. */
async function findReused(
  reads: Reads,
  tenant: string,
  original: Original,
  { fromStep, fromFailure = false }: ReplayRun,
): Promise<number[]> {
  if (fromStep !== undefined) {
    const nodes = (await readStepNodes(reads, [original.versionId])).get(original.versionId) ?? [];
    const first = nodes.find(({ name }) => name === fromStep);
    if (first === undefined) {
      const names = nodes.map(({ name }) => name).join(", ");
      const message = `is no step of version ${original.version} of ${original.workflow}, which has ${names}`;
      throw new ProblemError("invalid_request", `In the body, fromStep ${message}.`, {
        fields: [{ path: "fromStep", message }],
      });
    }
    return (await findReusable(reads, tenant, [original], first.step)).get(original.id) ?? [];
  }
  if (!fromFailure) return [];
  if (original.state === "completed") {
    const message = `has no place in a replay of run ${original.id}, which has completed: leave it out, or say fromStep`;
    throw new ProblemError("invalid_request", `In the body, fromFailure ${message}.`, {
      fields: [{ path: "fromFailure", message }],
    });
  }
  return (await findReusable(reads, tenant, [original])).get(original.id) ?? [];
}

/** By run, the steps that need not be executed again; `first` is, in any case. */
async function findReusable(
  reads: Reads,
  tenant: string,
  originals: Original[],
  first?: number,
): Promise<Map<string, number[]>> {
  const versions = [...new Set(originals.map(({ versionId }) => versionId))];
  const ids = originals.map(({ id }) => id);
  const [nodes, progress] = await Promise.all([
    readStepNodes(reads, versions),
    readProgress(reads, tenant, ids),
  ]);
  return new Map(
    originals.map(({ id, versionId }) => {
      const came = progress.get(id) ?? { completed: [], compensated: [] };
      return [id, reusableSteps(nodes.get(versionId) ?? [], came, first)];
    }),
  );
}

/** What a run weighs in a call: it is read and written with its steps. */
function weightOf({ steps, inputBytes }: FinishedRun): number {
  return inputBytes + steps * STEP_BYTES;
}

function bytesOf(originals: Original[]): number {
  return originals.reduce((bytes, { input }) => bytes + JSON.stringify(input).length, 0);
}
