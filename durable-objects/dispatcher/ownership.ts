/**
 * Which shard counts a limit's key. Each has one owner, which follows from the tenant's shards alone; what others
 * need of it they borrow (`borrowing.ts`) and it lends (`lending.ts`).
 */
import { type ShardMap, shardOfKey } from "../../protocol/shard-map.ts";
import type { CountId } from "./permits.ts";

export class Ownership {
  readonly shard: number;
  /** The tenant's shards, as far as is known here; of version 0 before anything is. */
  map: ShardMap;

  constructor(shard: number, map: ShardMap = { version: 0, since: 0, count: 1, draining: [] }) {
    this.shard = shard;
    this.map = map;
  }

  ownerOf(id: CountId): number {
    return this.map.count === 1 ? 0 : shardOfKey(id, this.map.count);
  }

  isOwn(id: CountId): boolean {
    return this.ownerOf(id) === this.shard;
  }

  /** Whether nobody else can hold anything that is counted here. */
  get isAlone(): boolean {
    return this.map.count === 1 && this.map.draining.length === 0 && this.shard === 0;
  }
}
