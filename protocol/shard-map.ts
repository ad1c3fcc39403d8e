/**
 * Which shards a tenant has, and which of them a key belongs to. Pure, and the same wherever it is asked: a key's
 * shard follows from the map alone.
 */
import type { Shard } from "./http.ts";

/** Shards a tenant may have: every one may have to ask every other when their number changes. */
export const MAX_SHARDS = 64;

export interface ShardMap {
  /** Raised by every change. */
  version: number;
  /** The version that last changed `count`, and so which shard owns what. */
  since: number;
  /** Shards that take new runs, numbered from 0. */
  count: number;
  /** Others, which only finish what they have; or are about to take runs. */
  draining: number[];
}

/** The shards as workers are told of them. */
export function shardList(map: ShardMap): Shard[] {
  return shardNumbers(map).map((number) => ({
    number,
    path: `/api/v1/shards/${number}/session`,
    ...(number >= map.count && { isDraining: true }),
  }));
}

/** Every shard there is. */
export function shardNumbers({ count, draining }: ShardMap): number[] {
  return [...Array.from({ length: count }, (_, number) => number), ...draining];
}

/**
 * The shard of a key, of so many: the one that draws the highest number for it (rendezvous hashing), so that
 * another shard takes its part of the keys from all, and leaves it to all.
 */
export function shardOfKey(key: string, count: number): number {
  const seed = hash32(key);
  let owner = 0;
  let highest = -1;
  for (let shard = 0; shard < count; shard++) {
    const drawn = mix32(seed ^ Math.imul(shard + 1, 0x9e3779b1));
    if (drawn <= highest) continue;
    highest = drawn;
    owner = shard;
  }
  return owner;
}

function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return mix32(hash);
}

/** Spreads every bit over all of them. */
function mix32(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
