/**
 * What a change of the tenant's shards means to this one: its workers are told, and once it takes no new runs and
 * has nothing left it closes itself, and says so. A shard whose runs wait for days sleeps meanwhile like any other.
 */
import { closeShard } from "../database/shards.ts";
import type { ShardDatabase } from "../database/shard-database.ts";
import type { ShardMap } from "../protocol/shard-map.ts";
import { errorFields } from "../telemetry/log.ts";
import { shardsFrame } from "./dispatcher/frames.ts";
import type { ShardPeers } from "./shard-peers.ts";
import type { ShardSessions } from "./shard-sessions.ts";
import type { ShardState } from "./shard-state.ts";

export class ShardClosing {
  #state: ShardState;
  #sessions: ShardSessions;
  #peers: ShardPeers;
  #database: ShardDatabase;
  /** Since when this life has been; who said hello before it knew of any shards could not be told of them. */
  #bornAt = Date.now();
  /** After which commit Postgres was last asked. */
  #askedAfter: string | undefined;

  constructor(
    state: ShardState,
    sessions: ShardSessions,
    peers: ShardPeers,
    database: ShardDatabase,
  ) {
    this.#state = state;
    this.#sessions = sessions;
    this.#peers = peers;
    this.#database = database;
  }

  /** Whether it only finishes what it has. */
  get isDraining(): boolean {
    const { map, name } = this.#state;
    return map.draining.includes(name.shard);
  }

  /** Other shards are known than before: workers are told once of each change, whenever they were connected. */
  announce(map: ShardMap): void {
    const { storage, roster, outbox } = this.#state;
    const frame = shardsFrame(map);
    if (map.version > storage.readAnnounced()) {
      storage.writeAnnounced(map.version);
      this.#sessions.announce(frame);
    } else if (map.version > 1) {
      for (const { id, connectedAt } of roster.sessions) {
        if (connectedAt >= this.#bornAt) outbox.add(id, frame);
      }
    }
  }

  /** Asks Postgres to close the shard, once after each commit, if it may have nothing left. True: it is being asked. */
  begin(now: number, settle: () => void): boolean {
    const { storage, committer } = this.#state;
    if (!this.isDraining || this.#holdsSomething(now)) return false;
    const epoch = storage.readEpoch();
    const after = `${epoch}/${committer.lastSeq}`;
    if (after === this.#askedAfter) return false;
    this.#askedAfter = after;
    void this.#close(epoch, now).finally(settle);
    return true;
  }

  /**
   * What Postgres doesn't know of: handlers that have been told to stop, permits that they hold, and buckets that
   * are not full, which whoever counts their keys now has not asked for yet. The clock asks again each minute.
   */
  #holdsSomething(now: number): boolean {
    const { leases, permits, buckets, borrowing } = this.#state;
    const held = leases.size + permits.size + buckets.size + borrowing.size;
    return held > 0 || permits.closedUntil > now;
  }

  async #close(epoch: number, now: number): Promise<void> {
    const { name, log } = this.#state;
    try {
      const map = await closeShard(this.#database.query, { ...name, epoch }, now);
      if (map === undefined) return;
      log.info("shard.closed", { version: map.version, count: map.count });
      this.#peers.heed(map);
      this.#peers.tellShards(map);
    } catch (error) {
      log.warn("shard.not_closed", errorFields(error));
    }
  }
}
