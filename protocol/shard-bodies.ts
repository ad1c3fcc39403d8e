/**
 * The bodies of `/tenant/shards`: how many shards a tenant has.
 */

/**
 * A shard that drains takes no new runs, and closes when it has finished those it has. So is one listed that is about
 * to take its first.
 */
export type ShardCondition = "active" | "draining";

export interface TenantShards {
  /** How many take new runs. */
  count: number;
  /** Raised by every change of what follows, also when a shard closes. */
  version: number;
  shards: { number: number; state: ShardCondition }[];
}

export interface SetShards {
  count: number;
}
