/**
 * Shards: which there are, and the WebSocket on which a worker joins one.
 */
import { createRoute, OpenAPIHono } from "@hono/zod-openapi";
import { shardList } from "../../protocol/shard-map.ts";
import type { AppTypes } from "../environment.ts";
import { callShard } from "../shard-calls.ts";
import { isShard, readShardMap } from "../shard-maps.ts";
import { reachShard } from "../tenant-objects.ts";
import { answers, refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";
import { shardLoadSchema, shardParameters, shardsSchema } from "./schemas.ts";

const list = createRoute({
  method: "get",
  path: "/shards",
  tags: ["Workers"],
  operationId: "listShards",
  summary: "List the shards a worker connects to",
  responses: answers(
    { 200: ["Every shard of the tenant, also those that drain", shardsSchema] },
    [],
  ),
});

const read = createRoute({
  method: "get",
  path: "/shards/{number}",
  tags: ["Workers"],
  operationId: "readShard",
  summary: "Tell what a shard has in memory",
  description: "Counts, as they are at this moment. Each is bounded, whatever waits in the queue.",
  request: { params: shardParameters },
  responses: answers({ 200: ["What it has", shardLoadSchema] }, [
    "not_found",
    "invalid_request",
    "overloaded",
  ]),
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

shards.openapi(list, async (context) => {
  const map = await readShardMap(context.env, context.var.tenant);
  return context.json({ version: map.version, shards: shardList(map) }, 200);
});

shards.openapi(read, async (context) => {
  const { number } = context.req.valid("param");
  const {
    env,
    var: { tenant },
  } = context;
  if (!(await isShard(env, tenant, number))) refuseUnknown(String(number));
  const load = await callShard(env, tenant, number, async (stub) => await stub.load());
  return context.json({ number, ...load }, 200);
});

shards.openAPIRegistry.registerPath(session);
shards.get("/shards/:number/session", async (context) => {
  const asked = context.req.param("number");
  const number = Number(asked);
  const {
    env,
    var: { tenant },
  } = context;
  if (!/^(0|[1-9]\d*)$/.test(asked) || !(await isShard(env, tenant, number))) refuseUnknown(asked);
  if (context.req.header("upgrade")?.toLowerCase() !== "websocket") {
    throw new ProblemError("upgrade_required", "Open this address as a WebSocket.", {
      headers: { upgrade: "websocket" },
    });
  }
  return await reachShard(env, tenant, number, (stub) => stub.fetch(context.req.raw));
});

function refuseUnknown(number: string): never {
  throw new ProblemError(
    "not_found",
    `There is no shard ${number}. GET /api/v1/shards lists them.`,
  );
}
