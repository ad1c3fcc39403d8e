/**
 * Runs: start one or many, read, list, wait for a result, read logs.
 */
import { createRoute, OpenAPIHono } from "@hono/zod-openapi";
import { listLogs } from "../../database/read-logs.ts";
import { readResult, readRun } from "../../database/read-run.ts";
import { listRuns, readRunStates } from "../../database/read-runs.ts";
import type { StartCall } from "../../durable-objects/dispatcher/transitions.ts";
import { delayedUntil } from "../../protocol/delay.ts";
import type { StartedRun, StartRun } from "../../protocol/http.ts";
import { isFinishedRun } from "../../protocol/states.ts";
import { startRow, workflowToStart } from "../definitions/start-row.ts";
import type { AppTypes } from "../environment.ts";
import { callShard, type Started, startAtShard } from "../shard-calls.ts";
import { pageOf } from "./fields.ts";
import { answers, BODY_PROBLEMS, json, refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";
import {
  listLogsQuery,
  listRunsQuery,
  logLineSchema,
  metadataOf,
  runParameters,
  runResultSchema,
  runSchema,
  runSummarySchema,
  startedRunSchema,
  startedRunsSchema,
  startRunSchema,
  startRunsSchema,
  waitQuery,
} from "./run-schemas.ts";
import { readsOf } from "./tenant-data.ts";

const start = createRoute({
  method: "post",
  path: "/runs",
  tags: ["Runs"],
  operationId: "startRun",
  summary: "Start a run",
  description:
    "Once this has answered the run happens, whatever dies: at once, or after its delay, of which `startsAt` tells.",
  request: { body: json(startRunSchema) },
  responses: answers(
    {
      200: ["The run that had this idempotency key", startedRunSchema],
      201: ["Started", startedRunSchema],
    },
    [...BODY_PROBLEMS, "workflow_not_found", "workflow_paused", "overloaded"],
  ),
});

const startMany = createRoute({
  method: "post",
  path: "/runs/bulk",
  tags: ["Runs"],
  operationId: "startRuns",
  summary: "Start up to 1,000 runs",
  description: "All or none: one that can't be started stops the others. In the order given.",
  request: { body: json(startRunsSchema) },
  responses: answers({ 201: ["Started", startedRunsSchema] }, [
    ...BODY_PROBLEMS,
    "workflow_not_found",
    "workflow_paused",
    "overloaded",
  ]),
});

const list = createRoute({
  method: "get",
  path: "/runs",
  tags: ["Runs"],
  operationId: "listRuns",
  summary: "List runs, newest first",
  description: "Filter by metadata with `metadata.KEY=VALUE`.",
  request: { query: listRunsQuery },
  responses: answers({ 200: ["A page", pageOf(runSummarySchema)] }, ["invalid_request"]),
});

const read = createRoute({
  method: "get",
  path: "/runs/{id}",
  tags: ["Runs"],
  operationId: "readRun",
  summary: "Read a run with its tasks, attempts and outputs",
  request: { params: runParameters },
  responses: answers({ 200: ["The run", runSchema] }, ["run_not_found", "invalid_request"]),
});

const result = createRoute({
  method: "get",
  path: "/runs/{id}/result",
  tags: ["Runs"],
  operationId: "readRunResult",
  summary: "Wait for a run's result",
  description:
    "Answers as soon as the run has finished, or with its present state after `waitMs`: then ask again.",
  request: { params: runParameters, query: waitQuery },
  responses: answers({ 200: ["The result so far", runResultSchema] }, [
    "run_not_found",
    "invalid_request",
  ]),
});

const logs = createRoute({
  method: "get",
  path: "/runs/{id}/logs",
  tags: ["Runs"],
  operationId: "listRunLogs",
  summary: "Read what a run's handlers logged",
  request: { params: runParameters, query: listLogsQuery },
  responses: answers({ 200: ["A page", pageOf(logLineSchema)] }, [
    "run_not_found",
    "invalid_request",
  ]),
});

export const runs = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(start, async (context) => {
    const body = context.req.valid("json");
    const started = await startAll(context.env, context.var, [body]);
    const [run] = startedRuns(started);
    if (run === undefined) throw new Error("A start of one run started none");
    return run.created
      ? context.json(run, 201, { location: `/api/v1/runs/${run.id}` })
      : context.json(run, 200);
  })
  .openapi(startMany, async (context) => {
    const body = context.req.valid("json");
    const started = await startAll(context.env, context.var, body.runs);
    return context.json({ runs: startedRuns(started) }, 201);
  })
  .openapi(list, async (context) => {
    const query = context.req.valid("query");
    const filter = { ...query, metadata: metadataOf(query) };
    return context.json(await listRuns(readsOf(context), context.var.tenant, filter), 200);
  })
  .openapi(read, async (context) => {
    const { id } = context.req.valid("param");
    const run = await readRun(readsOf(context), context.var.tenant, id);
    return context.json(run ?? refuseUnknownRun(id), 200);
  })
  .openapi(result, async (context) => {
    const { id } = context.req.valid("param");
    const { waitMs } = context.req.valid("query");
    const { tenant } = context.var;
    const reads = readsOf(context);
    const deadline = Date.now() + waitMs;
    const { result: now, shard } = (await readResult(reads, tenant, id)) ?? refuseUnknownRun(id);
    if (waitMs === 0 || isFinishedRun(now.state)) return context.json(now, 200);
    // Without a shard to wait at, what is read is the answer.
    await callShard(context.env, tenant, shard, async (stub) => {
      const ended = stub.waitForRun(id, Math.max(0, deadline - Date.now()));
      // Looked at once more after each asking, so that no end falls between the two.
      const isOver = readRunStates(reads, tenant, [id]).then(
        ([asked]) => asked === undefined || isFinishedRun(asked.state),
      );
      await Promise.race([ended, isOver.then((over) => (over ? undefined : ended))]);
    }).catch(() => {});
    const { result: last } = (await readResult(reads, tenant, id)) ?? refuseUnknownRun(id);
    return context.json(last, 200);
  })
  .openapi(logs, async (context) => {
    const { id } = context.req.valid("param");
    const page = context.req.valid("query");
    const found = await listLogs(readsOf(context), context.var.tenant, id, page);
    return context.json(found ?? refuseUnknownRun(id), 200);
  });

function startAll(
  env: AppTypes["Bindings"],
  { tenant, bodyBytes }: Pick<AppTypes["Variables"], "tenant" | "bodyBytes">,
  asked: StartRun[],
): Promise<Started> {
  const now = Date.now();
  const startTimes = asked.map((run) => delayedUntil(run, now));
  return startAtShard(env, tenant, (definitions): StartCall => {
    const rows = asked.map((run, index) => {
      const where = asked.length === 1 ? "" : `In the body, runs[${index}]: `;
      const workflow = workflowToStart(definitions, run.workflow, where);
      const { input: i = null, metadata: m = {}, idempotencyKey: k, priority: pr } = run;
      return startRow(definitions, workflow, { i, m, k, pr, at: startTimes[index] });
    });
    return { events: [], runs: rows, bytes: bodyBytes };
  });
}

/** What the API says of a call's runs: each is new, or the one that had its key first. */
export function startedRuns({ call, outcome }: Started): StartedRun[] {
  return call.runs.map(({ id }) => {
    const existing = outcome.starts[id];
    return existing === undefined ? { id, created: true } : { id: existing, created: false };
  });
}

export function refuseUnknownRun(id: string): never {
  throw new ProblemError("run_not_found", `There is no run ${id}.`);
}
