/**
 * A tenant's shards as Postgres has them.
 */
import type { ShardMap } from "../protocol/shard-map.ts";
import type { Query } from "./connect.ts";

/** Undefined when there is no such tenant. */
export async function readShards(query: Query, tenant: string): Promise<ShardMap | undefined> {
  return await call(query, "v1.read_shards($1)", tenant);
}

/** Those that are to take runs soon are there since, and take none yet; undefined when there is no such tenant. */
export async function openShards(
  query: Query,
  tenant: string,
  count: number,
): Promise<ShardMap | undefined> {
  return await call(query, "v1.open_shards($1, $2)", tenant, count);
}

/**
 * As they are since, also when there were as many before; as many as before when a new one is not open; undefined when
 * there is no such tenant.
 */
export async function setShards(
  query: Query,
  tenant: string,
  count: number,
): Promise<ShardMap | undefined> {
  return await call(query, "v1.set_shards($1, $2)", tenant, count);
}

/** What there is since the shard is closed; undefined: it can't be, now. */
export async function closeShard(
  query: Query,
  { tenant, shard, epoch }: { tenant: string; shard: number; epoch: number },
  at: number,
): Promise<ShardMap | undefined> {
  return await call(query, "v1.close_shard($1, $2, $3, $4)", tenant, shard, epoch, at);
}

/** It can't be closed before that moment, and wakes by itself then. */
export async function holdShard(
  query: Query,
  { tenant, shard, epoch }: { tenant: string; shard: number; epoch: number },
  until: number,
): Promise<void> {
  await query("select v1.hold_shard($1, $2, $3, $4)", [tenant, shard, epoch, until]);
}

async function call(
  query: Query,
  statement: string,
  ...parameters: unknown[]
): Promise<ShardMap | undefined> {
  const [row] = await query(`select ${statement} as map`, parameters);
  return (row?.["map"] ?? undefined) as ShardMap | undefined;
}
