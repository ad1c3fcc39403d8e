/**
 * The name of a shard's Durable Object: the tenant and the shard's number. Names carry the number
 * from the first day, so that a tenant with one shard is a tenant with many that has one.
 */

export interface ShardName {
  tenant: string;
  shard: number;
}

export function shardName({ tenant, shard }: ShardName): string {
  return `${tenant}/${shard}`;
}

export function parseShardName(name: string | undefined): ShardName {
  const [tenant, shard] = name?.split("/") ?? [];
  if (tenant === undefined || shard === undefined || !/^\d+$/.test(shard)) {
    throw new Error(`"${name}" is not a shard's name; it must be tenant/number`);
  }
  return { tenant, shard: Number(shard) };
}
