/**
 * A tenant's shards as Postgres has them.
 */
import type { ShardMap } from "../protocol/shard-map.ts";
import type { Query } from "./connect.ts";

/** Undefined when there is no such tenant. */
export async function readShards(query: Query, tenant: string): Promise<ShardMap | undefined> {
  const [row] = await query("select v1.read_shards($1) as map", [tenant]);
  return (row?.["map"] ?? undefined) as ShardMap | undefined;
}
