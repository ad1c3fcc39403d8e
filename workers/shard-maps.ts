/**
 * Which shards a tenant has, as the edge Worker asks for it: those that take new runs and those that only finish
 * what they have.
 */
import { queryOverHttp } from "../database/connect.ts";
import { readShards } from "../database/shards.ts";
import { databaseOf } from "../database/tenant-database.ts";
import { type ShardMap, shardNumbers } from "../protocol/shard-map.ts";
import type { Environment } from "./environment.ts";

const MAX_TENANTS = 1_000; // tenants whose shards one isolate remembers

const remembered = new Map<string, ShardMap>();

/** As they are now. */
export async function readShardMap(env: Environment, tenant: string): Promise<ShardMap> {
  const map = await readShards(queryOverHttp(databaseOf(env, tenant)), tenant);
  if (map === undefined) throw new Error(`Tenant ${tenant} has no shards`);
  remembered.delete(tenant);
  remembered.set(tenant, map);
  for (const oldest of remembered.keys()) {
    if (remembered.size <= MAX_TENANTS) break;
    remembered.delete(oldest);
  }
  return map;
}

/**
 * Whether there is such a shard, or has been a moment ago: workers that come back all at once are told without a
 * reading for each.
 */
export async function isShard(env: Environment, tenant: string, number: number): Promise<boolean> {
  const known = remembered.get(tenant);
  if (known !== undefined && shardNumbers(known).includes(number)) return true;
  return shardNumbers(await readShardMap(env, tenant)).includes(number);
}
