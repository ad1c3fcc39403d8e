/**
 * How many shards a tenant has: read, and changed while runs go on.
 */
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import { queryOverHttp } from "../../database/connect.ts";
import { databaseOf } from "../../database/tenant-database.ts";
import { setShards } from "../../database/shards.ts";
import type { SetShards, TenantShards } from "../../protocol/shard-bodies.ts";
import { MAX_SHARDS, type ShardMap, shardNumbers } from "../../protocol/shard-map.ts";
import { forgetDefinitions } from "../definitions/definitions.ts";
import type { AppTypes } from "../environment.ts";
import { tellEach } from "../shard-calls.ts";
import { readShardMap } from "../shard-maps.ts";
import { answers, BODY_PROBLEMS, json, refuseInvalid } from "./openapi.ts";

export const tenantShardsSchema = z
  .object({
    count: z.int(),
    version: z.int(),
    shards: z.array(z.object({ number: z.int(), state: z.enum(["active", "draining"]) })),
  })
  .openapi("TenantShards") satisfies z.ZodType<TenantShards>;

const setShardsSchema = z
  .strictObject({ count: z.int().min(1).max(MAX_SHARDS) })
  .openapi("SetShards") satisfies z.ZodType<SetShards>;

const read = createRoute({
  method: "get",
  path: "/tenant/shards",
  tags: ["Tenant"],
  operationId: "readTenantShards",
  summary: "Read how many shards there are",
  responses: answers(
    { 200: ["Those that take new runs, and those that drain", tenantShardsSchema] },
    [],
  ),
});

const put = createRoute({
  method: "put",
  path: "/tenant/shards",
  tags: ["Tenant"],
  operationId: "setTenantShards",
  summary: "Say how many shards there are",
  description:
    "New runs are placed by the new number from now on; runs stay where they are. A shard beyond it drains: it finishes what it has, then closes. Workers follow by themselves.",
  request: { body: json(setShardsSchema) },
  responses: answers({ 200: ["As they are now", tenantShardsSchema] }, [...BODY_PROBLEMS]),
});

export const tenantShards = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(read, async (context) => {
    return context.json(shown(await readShardMap(context.env, context.var.tenant)), 200);
  })
  .openapi(put, async (context) => {
    const { count } = context.req.valid("json");
    const {
      env,
      var: { tenant, log },
    } = context;
    const map = await setShards(queryOverHttp(databaseOf(env, tenant)), tenant, count);
    if (map === undefined) throw new Error(`Tenant ${tenant} has no shards`);
    forgetDefinitions(tenant);
    log.info("shards.set", { version: map.version, count, draining: map.draining.length });
    // One that can't be reached learns of it with its next commit.
    const all = shardNumbers(map).map((shard) => ({ tenant, shard }));
    await tellEach(env, log, all, async (stub) => await stub.heedShards(map));
    return context.json(shown(map), 200);
  });

function shown(map: ShardMap): TenantShards {
  const { count, version } = map;
  const shards = shardNumbers(map).map((number) => ({
    number,
    state: number < count ? ("active" as const) : ("draining" as const),
  }));
  return { count, version, shards };
}
