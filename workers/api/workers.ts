/**
 * Workers: which are connected, pausing them and asking them to drain. Shards know them; each has an
 * id for as long as its session lasts.
 */
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { ProblemCode } from "../../protocol/errors.ts";
import type { AppTypes } from "../environment.ts";
import { askShards } from "../shard-calls.ts";
import type { ShardStub } from "../tenant-objects.ts";
import { answers, refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";
import { workerParameters, workerSchema } from "./schemas.ts";

const told = z.object({ id: z.string() });

const PROBLEMS_OF_ONE: ProblemCode[] = ["worker_not_found", "invalid_request", "overloaded"];

const list = createRoute({
  method: "get",
  path: "/workers",
  tags: ["Workers"],
  operationId: "listWorkers",
  summary: "List the workers that are connected, or were a moment ago",
  responses: answers({ 200: ["Of every shard", z.object({ items: z.array(workerSchema) })] }, [
    "overloaded",
  ]),
});

const pause = createRoute({
  method: "put",
  path: "/workers/{id}/pause",
  tags: ["Workers"],
  operationId: "pauseWorker",
  summary: "Pause a worker",
  description: "It finishes what it has, and gets no tasks until it is resumed.",
  request: { params: workerParameters },
  responses: answers({ 200: ["Paused", told] }, PROBLEMS_OF_ONE),
});

const resume = createRoute({
  method: "delete",
  path: "/workers/{id}/pause",
  tags: ["Workers"],
  operationId: "resumeWorker",
  summary: "Resume a worker that was paused",
  request: { params: workerParameters },
  responses: answers({ 200: ["It gets tasks again", told] }, PROBLEMS_OF_ONE),
});

const drain = createRoute({
  method: "post",
  path: "/workers/{id}/drain",
  tags: ["Workers"],
  operationId: "drainWorker",
  summary: "Have a worker finish what it has and leave",
  request: { params: workerParameters },
  responses: answers({ 200: ["It has been asked to", told] }, PROBLEMS_OF_ONE),
});

export const workers = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(list, async (context) => {
    const found = await askShards(context, (stub) => stub.workers());
    return context.json({ items: found.flat() }, 200);
  })
  .openapi(pause, async (context) => {
    const { id } = context.req.valid("param");
    await tell(context, id, (stub) => stub.pauseWorker(id, true));
    return context.json({ id }, 200);
  })
  .openapi(resume, async (context) => {
    const { id } = context.req.valid("param");
    await tell(context, id, (stub) => stub.pauseWorker(id, false));
    return context.json({ id }, 200);
  })
  .openapi(drain, async (context) => {
    const { id } = context.req.valid("param");
    await tell(context, id, (stub) => stub.drainWorker(id));
    return context.json({ id }, 200);
  });

/** Tells a worker's shard something about it: whichever shard knows it. */
async function tell(
  context: Context<AppTypes>,
  id: string,
  call: (stub: ShardStub) => Promise<boolean>,
): Promise<void> {
  if ((await askShards(context, call)).includes(true)) return;
  throw new ProblemError(
    "worker_not_found",
    `There is no worker ${id}, or no longer. GET /api/v1/workers lists those that are connected.`,
  );
}
