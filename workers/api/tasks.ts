/**
 * Why a task, or each of a run's tasks, is not running. What the shard knows counts, for it decides; Postgres knows of tasks
 * that are not ready, are over, or are still in the queue.
 */
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import {
  type OpenWait,
  readLine,
  readWaitingTask,
  readWaitingTasks,
  type WaitingTask,
} from "../../database/read-waiting.ts";
import { isoTime, type Reads } from "../../database/reads.ts";
import type { LinePosition, WaitReason, Why } from "../../protocol/limit-bodies.ts";
import { runIdOf } from "../../protocol/ids.ts";
import type { AppTypes } from "../environment.ts";
import { callShard } from "../shard-calls.ts";
import { answers, refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";
import { runParameters } from "./run-schemas.ts";
import { readsOf } from "./tenant-data.ts";
import { taskParameters, whySchema } from "./why-schemas.ts";
import { sentenceOf } from "./why-sentence.ts";

/** Of a task that a worker has; Postgres hears of that a little later. */
const IN_HANDS: ReadonlySet<WaitReason["kind"]> = new Set(["running", "children", "returning"]);

const why = createRoute({
  method: "get",
  path: "/tasks/{id}/why",
  tags: ["Runs"],
  operationId: "explainTask",
  summary: "Tell why a task is not running",
  description:
    "One sentence and its parts: what it waits for, who has it, and where it stands in line. As it is at this moment.",
  request: { params: taskParameters },
  responses: answers({ 200: ["The reason", whySchema] }, [
    "task_not_found",
    "invalid_request",
    "overloaded",
  ]),
});

const whyAll = createRoute({
  method: "get",
  path: "/runs/{id}/why",
  tags: ["Runs"],
  operationId: "explainRun",
  summary: "Tell why a run's tasks are not running",
  description:
    "One answer for each of its tasks that is not over, in their order; at most 100. None: the run is over.",
  request: { params: runParameters },
  responses: answers({ 200: ["The reasons", z.array(whySchema)] }, [
    "run_not_found",
    "invalid_request",
    "overloaded",
  ]),
});

export const tasks = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(why, async (context) => {
    const { id } = context.req.valid("param");
    const reads = readsOf(context);
    const found = await readWaitingTask(reads, context.var.tenant, id);
    if (found === undefined) {
      throw new ProblemError(
        "task_not_found",
        `There is no task ${id}, or not yet: what undoes a step is there once its run has failed.`,
      );
    }
    const [reason] = await explain(context, reads, runIdOf(id), [found]);
    return context.json(reason as Why, 200);
  })
  .openapi(whyAll, async (context) => {
    const { id } = context.req.valid("param");
    const reads = readsOf(context);
    const found = await readWaitingTasks(reads, context.var.tenant, id);
    if (found === undefined) throw new ProblemError("run_not_found", `There is no run ${id}.`);
    return context.json(await explain(context, reads, id, found), 200);
  });

/** Why each of a run's tasks is not running. */
async function explain(
  context: Context<AppTypes>,
  reads: Reads,
  run: string,
  waiting: readonly WaitingTask[],
): Promise<Why[]> {
  const {
    env,
    var: { tenant },
  } = context;
  const ofRun = waiting.filter((task) => reasonInPostgres(task) === undefined);
  const ready = ofRun.map(({ id }) => id);
  const [first] = ofRun;
  const known =
    first === undefined
      ? []
      : await callShard(env, tenant, first.shard, async (stub) => await stub.why(ready));
  return await Promise.all(
    waiting.map(async (task) => {
      const { id, step, state } = task;
      const reason =
        reasonInPostgres(task) ??
        known[ready.indexOf(id)] ??
        (await reasonInQueue(context, reads, task));
      return {
        task: id,
        run,
        step,
        state: IN_HANDS.has(reason.kind) ? ("running" as const) : state,
        sentence: sentenceOf(reason),
        reason,
      };
    }),
  );
}

/** Why a task is not ready or is over; undefined for one that is ready or running. */
function reasonInPostgres({
  state,
  parents,
  isHeld,
  pausedAt,
  startsAt,
  retryAt,
  wait,
}: WaitingTask): WaitReason | undefined {
  switch (state) {
    case "waiting":
      if (isHeld && pausedAt !== null) return { kind: "paused", since: isoTime(pausedAt) };
      if (wait !== undefined) return ofWait(wait);
      if (startsAt !== null && startsAt.getTime() > Date.now()) {
        return { kind: "delayed", until: isoTime(startsAt) };
      }
      return parents.length > 0 ? { kind: "parents", parents } : { kind: "arriving" };
    case "backoff":
      return retryAt === null ? { kind: "arriving" } : { kind: "backoff", until: isoTime(retryAt) };
    case "queued":
    case "running":
      return undefined;
    default:
      return { kind: "finished", state };
  }
}

function ofWait({ since, timesOutAt, row, met }: OpenWait): WaitReason {
  const open = row.conditions.filter(({ n }) => (met & (1 << n)) === 0);
  const anyOf = row.sets.map((set) =>
    open
      .filter(({ n }) => (set & (1 << n)) !== 0)
      .map((condition) =>
        "sleepMs" in condition
          ? { until: new Date(since.getTime() + condition.sleepMs).toISOString() }
          : { event: condition.event, if: condition.if },
      ),
  );
  return { kind: "wait", since: isoTime(since), until: isoTime(timesOutAt), anyOf };
}

/** Of a task that is ready or running, and of which its shard knows nothing: where it is in the queue. */
async function reasonInQueue(
  { env, var: { tenant } }: Context<AppTypes>,
  reads: Reads,
  { id, state, worker, startedAt, queued }: WaitingTask,
): Promise<WaitReason> {
  if (state === "running") return { kind: "running", worker, since: isoTime(startedAt) };
  if (queued === undefined) return { kind: "arriving" };
  const { before, behind } = await readLine(reads, tenant, queued, id);
  const { shard, action, lane } = queued;
  const ofLane = await callShard(
    env,
    tenant,
    shard,
    async (stub) => await stub.whyLane({ action, lane }),
  );
  if (ofLane === undefined || !("line" in ofLane)) {
    const line = { position: before + 1, length: before + 1 + behind, isExact: false };
    return { kind: "queue", action, line };
  }
  return { ...ofLane, line: afterLine(ofLane.line, before, behind) };
}

/** The shard's line is of a task that would come now: this one, with those of the queue around it. */
function afterLine(
  { position, length }: LinePosition,
  before: number,
  behind: number,
): LinePosition {
  return { position: position + before, length: length + before + behind, isExact: false };
}
