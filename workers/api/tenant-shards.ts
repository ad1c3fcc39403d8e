/**
 * How many shards a tenant has: read, and changed while runs go on.
 */
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { type Query, queryOverHttp } from "../../database/connect.ts";
import { databaseOf } from "../../database/tenant-database.ts";
import { openShards, setShards } from "../../database/shards.ts";
import type { SetShards, TenantShards } from "../../protocol/shard-bodies.ts";
import { MAX_SHARDS, type ShardMap, shardNumbers } from "../../protocol/shard-map.ts";
import { forgetDefinitions } from "../definitions/definitions.ts";
import type { AppTypes } from "../environment.ts";
import { RETRY_LATER, tellEach } from "../shard-calls.ts";
import type { ShardStub } from "../tenant-objects.ts";
import { readShardMap } from "../shard-maps.ts";
import { answers, BODY_PROBLEMS, json, refuseInvalid } from "./openapi.ts";
import { ProblemError } from "./problems.ts";

/** How often new shards are opened that have closed before they took runs: each time may take seconds. */
const MAX_OPENING_ROUNDS = 3;

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
    "New runs are placed by the new number from now on; runs stay where they are. Shards that are new are opened first, and it takes up to some seconds until workers are there; until then they are listed as draining. A shard beyond the number drains: it finishes what it has, then closes. Workers follow by themselves.",
  request: { body: json(setShardsSchema) },
  responses: answers({ 200: ["As they are now", tenantShardsSchema] }, [
    ...BODY_PROBLEMS,
    "overloaded",
  ]),
});

export const tenantShards = new OpenAPIHono<AppTypes>({ defaultHook: refuseInvalid })
  .openapi(read, async (context) => {
    return context.json(shown(await readShardMap(context.env, context.var.tenant)), 200);
  })
  .openapi(put, async (context) => {
    const { count } = context.req.valid("json");
    const { tenant, log } = context.var;
    const map = await openAndSet(context, count);
    forgetDefinitions(tenant);
    log.info("shards.set", { version: map.version, count, draining: map.draining.length });
    // One that can't be reached learns of it with its next commit.
    await tellShards(context, shardNumbers(map), async (stub) => await stub.heedShards(map));
    return context.json(shown(map), 200);
  });

/** One that has nothing to do may close again before it is to take runs: then it is opened once more. */
async function openAndSet(context: Context<AppTypes>, count: number): Promise<ShardMap> {
  const { env, var: variables } = context;
  const query = queryOverHttp(databaseOf(env, variables.tenant));
  for (let round = 0; round < MAX_OPENING_ROUNDS; round++) {
    await openUpTo(context, query, count);
    const map = await setShards(query, variables.tenant, count);
    if (map === undefined) throw new Error(`Tenant ${variables.tenant} has no shards`);
    if (map.count === count) return map;
  }
  throw new ProblemError(
    "overloaded",
    "The new shards close before they can take runs. Try again.",
    RETRY_LATER,
  );
}

/**
 * Opens the shards that are to take runs, and waits until they can at once: they know what they have, and workers
 * are there. Not for long, and for nothing else: whatever fails here, their first runs only wait for it themselves.
 */
async function openUpTo(context: Context<AppTypes>, query: Query, count: number): Promise<void> {
  const { tenant, log } = context.var;
  const map = await openShards(query, tenant, count);
  const opened = (map?.draining ?? []).filter((shard) => shard < count);
  if (map === undefined || opened.length === 0) return;
  const since = Date.now();
  const others = shardNumbers(map).filter((shard) => !opened.includes(shard));
  const told = await tellShards(context, others, async (stub) => await stub.heedShards(map));
  const workers = Math.max(...told.map((following) => following ?? 0));
  const ready = await tellShards(context, opened, async (stub) => await stub.open(map, workers));
  log.info("shards.opened", {
    version: map.version,
    opened: opened.length,
    ready: ready.filter((isReady) => isReady === true).length,
    workers,
    waited_ms: Date.now() - since,
  });
}

async function tellShards<Answer>(
  { env, var: { tenant, log } }: Context<AppTypes>,
  numbers: readonly number[],
  tell: (stub: ShardStub) => Promise<Answer>,
): Promise<(Answer | undefined)[]> {
  const shards = numbers.map((shard) => ({ tenant, shard }));
  return await tellEach(env, log, shards, tell);
}

function shown(map: ShardMap): TenantShards {
  const { count, version } = map;
  const shards = shardNumbers(map).map((number) => ({
    number,
    state: number < count ? ("active" as const) : ("draining" as const),
  }));
  return { count, version, shards };
}
