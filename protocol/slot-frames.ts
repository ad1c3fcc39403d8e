/**
 * What a worker that follows several shards and its shards say to each other: how many of its slots each
 * may use, how many more each would use, and which shards there are. `docs/protocol.md` tells the story.
 */
import type { Shard } from "./http.ts";

/** Slots that a shard asks for at once: a worker that gives them hears of more. */
export const MAX_WANTED_SLOTS = 1_000;

/**
 * From the worker: the shard may use so many of its slots now, of so many that it has. The shard answers with
 * the same number: what it sends after that was sent under it.
 */
export interface CreditFrame {
  type: "slots";
  slots: number;
  of: number;
}

/** The answer to the worker's `slots`. */
export interface SlotsFrame {
  type: "slots";
  slots: number;
}

/**
 * So many slots more would be used here now, at most `MAX_WANTED_SLOTS`; 0: none. Said to a worker that has
 * divided its slots, and only when it has changed by half or more.
 */
export interface WantedFrame {
  type: "wanted";
  slots: number;
  /** What the task takes whose turn is next: fewer are of no use to it. At most what the worker has. */
  least: number;
}

/** The tenant's shards, as `GET /shards` answers. An older list than one that is known says nothing. */
export interface ShardList {
  /** Rises with every change. Absent: 0. */
  version?: number;
  shards: Shard[];
}

/** The same, said to every worker when it has changed, so that they need not all ask. */
export interface ShardsFrame extends Required<ShardList> {
  type: "shards";
}
