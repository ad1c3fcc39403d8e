/**
 * Tasks: why one is not running. What the shard knows counts, for it decides; Postgres knows of tasks
 * that are not ready, are over, or are still in the queue.
 */
import { createRoute, OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { readLine, readWaitingTask, type WaitingTask } from "../../database/read-waiting.ts";
import { connectReads, isoTime, type Reads } from "../../database/reads.ts";
import type { LinePosition, WaitReason, Why } from "../../protocol/limit-bodies.ts";
import { runIdOf } from "../../protocol/ids.ts";
import type { AppTypes } from "../environment.ts";
import { callShard, shardOfRun, type ShardStub } from "../shard-calls.ts";
import { answers, refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";
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

export const tasks = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid }).openapi(
  why,
  async (context) => {
    const { id } = context.req.valid("param");
    const { tenant } = context.var;
    const reads = connectReads(context.env);
    const found = await readWaitingTask(reads, tenant, id);
    if (found === undefined) {
      throw new ProblemError(
        "task_not_found",
        `There is no task ${id}, or not yet: what undoes a step is there once its run has failed.`,
      );
    }
    const reason = reasonInPostgres(found) ?? (await reasonOfReady(context, reads, id, found));
    const body: Why = {
      task: id,
      run: runIdOf(id),
      step: found.step,
      state: IN_HANDS.has(reason.kind) ? "running" : found.state,
      sentence: sentenceOf(reason),
      reason,
    };
    return context.json(body, 200);
  },
);

/** Why a task is not ready or is over; undefined for one that is ready or running. */
function reasonInPostgres({
  state,
  parents,
  isHeld,
  pausedAt,
  retryAt,
}: WaitingTask): WaitReason | undefined {
  switch (state) {
    case "waiting":
      if (isHeld && pausedAt !== null) return { kind: "paused", since: isoTime(pausedAt) };
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

/** Of a task that is ready or running: what its shard says, or else where it is in the queue. */
async function reasonOfReady(
  { env, var: { tenant } }: Context<AppTypes>,
  reads: Reads,
  id: string,
  { state, worker, startedAt, queued }: WaitingTask,
): Promise<WaitReason> {
  const ask = (call: (stub: ShardStub) => Promise<WaitReason | undefined>) =>
    callShard(env, tenant, shardOfRun(runIdOf(id)), call);
  const known = await ask(async (stub) => await stub.why(id));
  if (known !== undefined) return known;
  if (state === "running") return { kind: "running", worker, since: isoTime(startedAt) };
  if (queued === undefined) return { kind: "arriving" };
  const { before, behind } = await readLine(reads, tenant, queued, id);
  const { action, lane } = queued;
  const ofLane = await ask(async (stub) => await stub.whyLane({ action, lane }));
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
