/**
 * Calls between shards about limits: who speaks, who can't be reached for now, and who must be asked later. A call
 * that says what the caller can't know is told which shards there are instead.
 */
import { errorFields } from "../telemetry/log.ts";
import { LOAN_MARGIN_MS, PEER_RETRY_MAX_MS, PEER_RETRY_MS } from "./dispatcher/limits.ts";
import type {
  BorrowCall,
  HeldReport,
  LendCall,
  LoanGrant,
  PeerAnswer,
  PeerHeader,
} from "./dispatcher/loan-messages.ts";
import type { ShardPeers } from "./shard-peers.ts";
import type { ShardState } from "./shard-state.ts";

/** What shards call each other for, of limits. */
export interface LoanPeer {
  hearBorrow(call: BorrowCall): Promise<PeerAnswer<{ grants: LoanGrant[] }>>;
  hearLend(call: LendCall): Promise<PeerAnswer<object>>;
  hearGather(header: PeerHeader): Promise<PeerAnswer<HeldReport>>;
}

/** What loans need of the shard around them. */
export interface LoanSurroundings {
  /** Places what can be placed now, and sends what there is to send. */
  settle(): void;
  /** Makes sure that the alarm goes off by then. */
  arm(at: number): void;
  /** Whether it is known what the shard holds. If not, finds out. */
  isRecovered(): boolean;
}

interface Rest {
  /** Infinity: it is over. */
  until: number;
  waitMs: number;
}

export class LoanCalls {
  readonly surroundings: LoanSurroundings;
  #state: ShardState;
  #peers: ShardPeers;
  #generation: number;
  /** Those that could not answer, and when each is called again; by shard, and of gathering. */
  #rests = new Map<number | "gather", Rest>();

  constructor(state: ShardState, peers: ShardPeers, surroundings: LoanSurroundings) {
    this.#state = state;
    this.#peers = peers;
    this.surroundings = surroundings;
    this.#generation = state.storage.readGeneration();
  }

  /** The epoch at which this shard last began to know nothing; 0 before its first. */
  get generation(): number {
    return this.#generation;
  }

  /** It knows nothing, from now on. */
  beginGeneration(epoch: number): void {
    this.#generation = epoch;
    this.#state.storage.writeGeneration(epoch);
  }

  /** For which shards, and as which generation, it counts keys. */
  get term(): string {
    return `${this.#state.map.since}/${this.#generation}`;
  }

  get header(): PeerHeader {
    const { name, map } = this.#state;
    return { from: name.shard, map, generation: this.#generation };
  }

  /** Why a call can't be answered now; undefined: it can. */
  refusalOf({
    map,
  }: PeerHeader): { kind: "later" } | { kind: "moved"; map: typeof map } | undefined {
    if (!this.surroundings.isRecovered()) return { kind: "later" };
    this.#peers.heed(map);
    if (this.#state.map.since > map.since) return { kind: "moved", map: this.#state.map };
    return undefined;
  }

  /** Calls a shard; undefined when it could not be reached. */
  async reach<Answer extends PeerAnswer<object>>(
    shard: number,
    call: (peer: LoanPeer) => Promise<Answer>,
  ): Promise<Answer | undefined> {
    try {
      this.surroundings.arm(Date.now() + LOAN_MARGIN_MS);
      const answer = await this.#peers.call(shard, call);
      if (answer.kind === "moved") this.#peers.heed(answer.map);
      return answer;
    } catch (error) {
      this.#state.log.warn("shard.not_reached", { peer: shard, ...errorFields(error) });
      return undefined;
    }
  }

  /** It can't answer now: it is called again after a while, which grows. */
  rest(what: number | "gather"): void {
    const waitMs = Math.min(
      PEER_RETRY_MAX_MS,
      2 * (this.#rests.get(what)?.waitMs ?? PEER_RETRY_MS / 2),
    );
    const until = Date.now() + waitMs;
    this.#rests.set(what, { until, waitMs });
    this.surroundings.arm(until);
  }

  isResting(what: number | "gather", now: number): boolean {
    const { until = Number.POSITIVE_INFINITY } = this.#rests.get(what) ?? {};
    return until > now && until < Number.POSITIVE_INFINITY;
  }

  /** It has answered. */
  endRest(what: number | "gather"): void {
    this.#rests.delete(what);
  }

  /** Rests that end by now are over; how long each was is remembered until there is an answer. */
  endRests(now: number): void {
    for (const rest of this.#rests.values()) {
      if (rest.until <= now) rest.until = Number.POSITIVE_INFINITY;
    }
  }

  /** When the first of those who could not answer is called again. */
  get nextDue(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const { until } of this.#rests.values()) due = Math.min(due, until);
    return due;
  }
}
