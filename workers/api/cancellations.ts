/**
 * Cancelling runs, one or those that a filter means. A cancelled run is over at once; its handlers are
 * told to stop, and its children are cancelled after it.
 */
import { createRoute, OpenAPIHono } from "@hono/zod-openapi";
import { findUnfinishedRuns, readRunStates, type StateOfRun } from "../../database/read-runs.ts";
import type { Reads } from "../../database/reads.ts";
import type { TaskError } from "../../protocol/errors.ts";
import { MAX_BY_FILTER } from "../../protocol/limits.ts";
import { isFinishedRun } from "../../protocol/states.ts";
import type { AppTypes } from "../environment.ts";
import { cancelRuns } from "../shard-calls.ts";
import {
  cancelledRunSchema,
  cancelledRunsSchema,
  cancelRunSchema,
  cancelRunsSchema,
} from "./change-schemas.ts";
import { answers, BODY_PROBLEMS, json, optionalJson, refuseInvalid } from "./openapi.ts";
import { refuseUnknownRun } from "./runs.ts";
import { runParameters } from "./run-schemas.ts";
import { readsOf } from "./tenant-data.ts";

const cancel = createRoute({
  method: "post",
  path: "/runs/{id}/cancel",
  tags: ["Runs"],
  operationId: "cancelRun",
  summary: "Cancel a run",
  description:
    "It is over at once: nothing of it is begun any more, running handlers are told to stop, nothing is undone. Its children are cancelled after it, unless they are detached. A run that has finished stays as it is.",
  request: { params: runParameters, body: optionalJson(cancelRunSchema) },
  responses: answers({ 200: ["Cancelled, or finished before", cancelledRunSchema] }, [
    ...BODY_PROBLEMS,
    "run_not_found",
    "overloaded",
  ]),
});

const cancelMany = createRoute({
  method: "post",
  path: "/runs/cancel",
  tags: ["Runs"],
  operationId: "cancelRuns",
  summary: "Cancel up to 1,000 unfinished runs that fit a filter",
  description: "Oldest first. While `hasMore` is true there are others: call again.",
  request: { body: json(cancelRunsSchema) },
  responses: answers({ 200: ["Cancelled", cancelledRunsSchema] }, [...BODY_PROBLEMS, "overloaded"]),
});

export const cancellations = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(cancelMany, async (context) => {
    const { tenant } = context.var;
    const reads = readsOf(context);
    const filter = context.req.valid("json");
    const found = await findUnfinishedRuns(reads, tenant, filter, MAX_BY_FILTER + 1);
    const runs = await cancelAll(
      context.env,
      reads,
      tenant,
      found.slice(0, MAX_BY_FILTER),
      whyCancelled(),
    );
    const cancelled = runs.filter(({ state }) => state === "cancelled").length;
    return context.json({ cancelled, hasMore: found.length > MAX_BY_FILTER }, 200);
  })
  .openapi(cancel, async (context) => {
    const { id } = context.req.valid("param");
    const { reason } = context.req.valid("json");
    const { tenant } = context.var;
    const reads = readsOf(context);
    const [before = refuseUnknownRun(id)] = await readRunStates(reads, tenant, [id]);
    if (isFinishedRun(before.state)) {
      return context.json({ id, state: before.state, cancelled: false }, 200);
    }
    const [after] = await cancelAll(context.env, reads, tenant, [before], whyCancelled(reason));
    const { state } = after ?? refuseUnknownRun(id);
    return context.json({ id, state, cancelled: state === "cancelled" }, 200);
  });

/** Cancels runs of the tenant, and says what each is then: one may have ended by itself meanwhile. */
async function cancelAll(
  env: AppTypes["Bindings"],
  reads: Reads,
  tenant: string,
  runs: { id: string; shard: number }[],
  error: TaskError,
): Promise<StateOfRun[]> {
  if (runs.length === 0) return [];
  await cancelRuns(env, tenant, runs, error);
  const ids = runs.map(({ id }) => id);
  return await readRunStates(reads, tenant, ids);
}

function whyCancelled(reason?: string): TaskError {
  const message =
    reason === undefined ? "The run was cancelled." : `The run was cancelled: ${reason}`;
  return { code: "cancelled", name: "Cancelled", message };
}
