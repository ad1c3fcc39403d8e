/**
 * What a change of the tenant's shards means to this one: its workers are told, and once it takes no new runs and
 * has nothing left it closes itself, and says so. A shard whose runs wait for days sleeps meanwhile like any other.
 */
import { closeShard, holdShard } from "../database/shards.ts";
import type { ShardDatabase } from "../database/shard-database.ts";
import type { ShardMap } from "../protocol/shard-map.ts";
import { errorFields } from "../telemetry/log.ts";
import { CLOSE_RETRY_MS } from "./dispatcher/limits.ts";
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
  /** After which commit Postgres was last asked, or told until when it can't be closed. */
  #askedAfter: string | undefined;
  /** When it next looks whether anything is left, if no attempt, run or loan is. Infinity: after another commit. */
  #lookAt = Number.POSITIVE_INFINITY;

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

  /** When it may have nothing left any more of what it kept when it came to rest. */
  get nextDue(): number {
    return this.isDraining && !this.#isHolding ? this.#lookAt : Number.POSITIVE_INFINITY;
  }

  /**
   * Asks Postgres to close the shard, once after each commit, if it may have nothing left; or tells it until when that
   * can't be. True: it is being asked, or told.
   */
  begin(now: number, settle: () => void): boolean {
    const { storage, committer } = this.#state;
    if (!this.isDraining) return false;
    if (this.#isHolding) {
      this.#lookAt = 0;
      return false;
    }
    const epoch = storage.readEpoch();
    const after = `${epoch}/${committer.lastSeq}`;
    const until = this.#keepsUntil;
    if (after === this.#askedAfter && now < this.#lookAt) return false;
    this.#askedAfter = after;
    const isHeld = until > now;
    this.#lookAt = isHeld ? until : Number.POSITIVE_INFINITY;
    const asked = isHeld ? this.#hold(epoch, until) : this.#close(epoch, now);
    void asked.finally(settle);
    return true;
  }

  /** Whether it has what Postgres doesn't know of: handlers that have been told to stop, and what is held for them. */
  get #isHolding(): boolean {
    const { leases, permits, borrowing } = this.#state;
    return leases.size > 0 || permits.size > 0 || borrowing.isInUse;
  }

  /**
   * Until when it keeps what it knows of limits: buckets that are not full, which whoever counts their keys now has not
   * asked for yet, and that nothing was known of them.
   */
  get #keepsUntil(): number {
    const { permits, buckets } = this.#state;
    return Math.max(permits.closedUntil, buckets.fullAt);
  }

  async #hold(epoch: number, until: number): Promise<void> {
    const { name, log } = this.#state;
    try {
      await holdShard(this.#database.query, { ...name, epoch }, until);
      log.info("shard.held", { until: new Date(until).toISOString() });
    } catch (error) {
      this.#askAgain();
      log.warn("shard.not_held", errorFields(error));
    }
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
      this.#askAgain();
      log.warn("shard.not_closed", errorFields(error));
    }
  }

  /** Nobody knows what became of it: it may be closed, and have workers that nobody has told. */
  #askAgain(): void {
    this.#askedAfter = undefined;
    this.#lookAt = Date.now() + CLOSE_RETRY_MS;
  }
}
