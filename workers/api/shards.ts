/**
 * Shards: which there are, and the WebSocket on which a worker joins one.
 */
import { createRoute, OpenAPIHono } from "@hono/zod-openapi";
import type { AppTypes } from "../environment.ts";
import { shardNumbers, shardStub } from "../shard-calls.ts";
import { answers, refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";
import { shardParameters, shardsSchema } from "./schemas.ts";

const list = createRoute({
  method: "get",
  path: "/shards",
  tags: ["Workers"],
  operationId: "listShards",
  summary: "List the shards a worker connects to",
  responses: answers({ 200: ["Every shard of the tenant", shardsSchema] }, []),
});

const session = createRoute({
  method: "get",
  path: "/shards/{number}/session",
  tags: ["Workers"],
  operationId: "openSession",
  summary: "Open a worker's WebSocket to a shard",
  description:
    "Subprotocol `skein.v1`; docs/protocol.md describes the frames. The token may come as a second subprotocol, `skein.token.TOKEN`.",
  request: { params: shardParameters },
  responses: answers({}, ["upgrade_required", "not_found"]),
});

export const shards = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid });

shards.openapi(list, (context) => {
  const paths = shardNumbers(context.var.shards).map((number) => ({
    number,
    path: `/api/v1/shards/${number}/session`,
  }));
  return context.json({ shards: paths }, 200);
});

shards.openAPIRegistry.registerPath(session);
shards.get("/shards/:number/session", async (context) => {
  const asked = context.req.param("number");
  const number = Number(asked);
  if (!/^(0|[1-9]\d*)$/.test(asked) || number >= context.var.shards) {
    throw new ProblemError(
      "not_found",
      `There is no shard ${asked}. GET /api/v1/shards lists them.`,
    );
  }
  if (context.req.header("upgrade")?.toLowerCase() !== "websocket") {
    throw new ProblemError("upgrade_required", "Open this address as a WebSocket.", {
      headers: { upgrade: "websocket" },
    });
  }
  return shardStub(context.env, context.var.tenant, number).fetch(context.req.raw);
});
