/**
 * The other shards of the tenant: which there are, and calls to them. A call is a hint that makes things fast, or
 * can be repeated: what must not be lost is in Postgres, or in the storage of both.
 */
import { type ShardMap, shardNumbers } from "../protocol/shard-map.ts";
import { errorFields } from "../telemetry/log.ts";
import { shardName } from "./dispatcher/shard-name.ts";
import type { ForwardPeer } from "./shard-forwards.ts";
import type { LoanPeer } from "./shard-loan-calls.ts";
import type { ShardState } from "./shard-state.ts";
import type { WhyPeer } from "./shard-why.ts";

/** What one shard calls another for. */
export interface Peer extends LoanPeer, ForwardPeer, WhyPeer {
  nudge(): Promise<void>;
  heedShards(map: ShardMap): Promise<unknown>;
}

interface Peers {
  getByName(name: string): Peer;
}

/** The shards as the platform gives them to one of them. */
export interface PeerBindings {
  DISPATCHER: Peers & { jurisdiction(jurisdiction: string): Peers };
}

/** Within the jurisdiction that this shard is in: without it a name is another object's. */
export function peersWithin({ DISPATCHER }: PeerBindings, jurisdiction: string | undefined): Peers {
  return jurisdiction === undefined ? DISPATCHER : DISPATCHER.jurisdiction(jurisdiction);
}

/** A shard that has just died is there again at the next call. */
export const MAX_CALLS = 3;

export class ShardPeers {
  #state: ShardState;
  #peers: Peers;
  #changed: (map: ShardMap) => void;

  /** @param changed Called when other shards are known than before. */
  constructor(state: ShardState, peers: Peers, changed: (map: ShardMap) => void) {
    this.#state = state;
    this.#peers = peers;
    this.#changed = changed;
  }

  /** What is known of the shards now, unless more is known already. */
  heed(map: ShardMap): void {
    const { ownership, storage, log } = this.#state;
    const known = ownership.map;
    if (map.version <= known.version) return;
    ownership.map = map;
    storage.writeMap(map);
    this.#changed(map);
    if (known.version === 0 && map.count === 1) return;
    log.info("shards.changed", {
      version: map.version,
      count: map.count,
      draining: map.draining.length,
    });
  }

  /** Postgres has something for these shards: each is told; one that can't be reached finds it within a minute. */
  nudge(shards: readonly number[]): void {
    for (const shard of shards) void this.#tell(shard, (peer) => peer.nudge());
  }

  /** All others are told of these shards; one that can't be reached learns of them with its next commit. */
  tellShards(map: ShardMap): void {
    for (const shard of shardNumbers(map)) {
      if (shard !== this.#state.name.shard) void this.#tell(shard, (peer) => peer.heedShards(map));
    }
  }

  async #tell(shard: number, tell: (peer: Peer) => Promise<unknown>): Promise<void> {
    try {
      await this.call(shard, tell);
    } catch (error) {
      this.#state.log.warn("shard.not_told", { peer: shard, ...errorFields(error) });
    }
  }

  /** A call that may be repeated; again on a new stub while the other shard vanishes. */
  async call<Answer>(shard: number, call: (peer: Peer) => Promise<Answer>): Promise<Answer> {
    const { tenant } = this.#state.name;
    for (let tries = 1; ; tries++) {
      try {
        return await call(this.#peers.getByName(shardName({ tenant, shard })));
      } catch (error) {
        if (tries === MAX_CALLS) throw error;
      }
    }
  }
}
