/**
 * Why tasks are not running, and how limits are used, for people. What this shard knows is in `dispatcher/`; who
 * counts a limit elsewhere, and who holds it there, is asked for it. To explain changes nothing.
 */
import type { LaneRow } from "../database/rows.ts";
import type { WaitReason } from "../protocol/limit-bodies.ts";
import { MAX_LIMIT_KEYS } from "../protocol/limits.ts";
import { shardNumbers } from "../protocol/shard-map.ts";
import { errorFields } from "../telemetry/log.ts";
import {
  explain,
  explainAttempt,
  explainLane,
  type Explained,
  serves,
  type ServingQuestion,
} from "./dispatcher/explain.ts";
import {
  type HeldHere,
  heldHere,
  keysOf,
  type KeyUse,
  type LimitKeyPart,
  type UseQuestion,
  useOf,
  withFindings,
} from "./dispatcher/limit-uses.ts";
import type { CountId } from "./dispatcher/permits.ts";
import type { Peer, ShardPeers } from "./shard-peers.ts";
import type { ShardState } from "./shard-state.ts";

/** What a shard asks others for when it explains. */
export interface WhyPeer {
  hearUses(from: number, questions: UseQuestion[]): Promise<(KeyUse | undefined)[]>;
  hearHeld(ids: CountId[]): Promise<HeldHere[]>;
  hearServing(questions: ServingQuestion[]): Promise<boolean[]>;
}

/** By key, and which shard has said it. */
type Uses = Map<string, KeyUse>;
type Held = Map<CountId, Map<number, HeldHere>>;

export class ShardWhy {
  #state: ShardState;
  #peers: ShardPeers;
  #isRecovered: () => boolean;

  /** @param isRecovered Whether it is known what the shard holds. */
  constructor(state: ShardState, peers: ShardPeers, isRecovered: () => boolean) {
    this.#state = state;
    this.#peers = peers;
    this.#isRecovered = isRecovered;
  }

  /** Why each of these tasks is not running; undefined: it is not in this shard's memory. */
  why(tasks: readonly string[]): Promise<(WaitReason | undefined)[]> {
    const now = Date.now();
    const explained = tasks.map((task) => {
      const lease = this.#state.leases.ofTask(task);
      return lease === undefined
        ? explain(task, this.#state, now)
        : explainAttempt(lease, this.#state, now);
    });
    return this.#complete(explained);
  }

  /** Why a task that came to this lane now would not run. Undefined: nothing is known of the lane. */
  async whyLane(lane: LaneRow): Promise<WaitReason | undefined> {
    const [reason] = await this.#complete([explainLane(lane, this.#state, Date.now())]);
    return reason;
  }

  /** How a limit's keys are used as far as is known here, those with most waiting first; of all or of some. */
  limitState(
    name: string,
    only?: readonly string[],
  ): { keys: LimitKeyPart[]; hasMoreKeys: boolean } {
    const keys = keysOf(name, this.#state, Date.now(), only && new Set(only));
    return { keys: keys.slice(0, MAX_LIMIT_KEYS), hasMoreKeys: keys.length > MAX_LIMIT_KEYS };
  }

  /** Another shard explains why a task waits for keys; undefined for one that is not counted here, or not yet. */
  hearUses(from: number, questions: readonly UseQuestion[]): (KeyUse | undefined)[] {
    const isKnown = this.#isRecovered();
    const now = Date.now();
    return questions.map((question) =>
      isKnown && this.#state.ownership.isOwn(question.id)
        ? useOf(question, from, this.#state, now)
        : undefined,
    );
  }

  /** Who holds keys here. */
  hearHeld(ids: readonly CountId[]): HeldHere[] {
    return ids.map((id) => heldHere(id, this.#state));
  }

  /** Whether a worker that is here could take such tasks. */
  hearServing(questions: readonly ServingQuestion[]): boolean[] {
    return questions.map((question) => serves(question, this.#state));
  }

  /** Adds what other shards know of the limits that reasons name, and of workers that are missing. */
  async #complete(
    explained: readonly (Explained | undefined)[],
  ): Promise<(WaitReason | undefined)[]> {
    const questions = new Map<string, UseQuestion>();
    for (const { need } of explained.filter((each) => each !== undefined)) {
      if (need !== undefined) questions.set(keyOf(need), { ...need });
    }
    const uses = await this.#askOwners([...questions.values()]);
    const held = await this.#askHolders(uses, questions);
    const serving = await this.#askServing(explained);
    const { ownership, name } = this.#state;
    return explained.map((each) => {
      if (each?.serving !== undefined && each.reason.kind === "no_worker") {
        const shards = serving.get(each) ?? [];
        const elsewhere = { shard: this.#state.name.shard, shards };
        return { ...each.reason, ...(shards.length > 0 && { elsewhere }) };
      }
      if (each?.need === undefined) return each?.reason;
      const { id } = each.need;
      const of = { isOwn: ownership.isOwn(id), use: uses.get(keyOf(each.need)), at: name.shard };
      return withFindings(each.reason, { ...of, heldAt: held.get(id) ?? new Map() }, Date.now());
    });
  }

  /** The shards at which a worker could take what none can that is here. */
  async #askServing(
    explained: readonly (Explained | undefined)[],
  ): Promise<Map<Explained, number[]>> {
    const { map, name } = this.#state;
    const asked = explained.filter((each) => each?.serving !== undefined) as Explained[];
    const serving = new Map(asked.map((each): [Explained, number[]] => [each, []]));
    if (asked.length === 0) return serving;
    const questions = asked.flatMap((each) => each.serving ?? []);
    const others = shardNumbers(map).filter((shard) => shard !== name.shard);
    const answers = await Promise.all(
      others.map((shard) => this.#reach(shard, (peer) => peer.hearServing(questions))),
    );
    for (const [index, shard] of others.entries()) {
      for (const [of, each] of asked.entries()) {
        if (answers[index]?.[of] === true) serving.get(each)?.push(shard);
      }
    }
    return serving;
  }

  async #askOwners(questions: readonly UseQuestion[]): Promise<Uses> {
    const { ownership, name } = this.#state;
    const uses: Uses = new Map();
    await Promise.all(
      [...Map.groupBy(questions, ({ id }) => ownership.ownerOf(id))].map(async ([owner, asked]) => {
        const answers =
          owner === name.shard
            ? asked.map((question) => useOf(question, owner, this.#state, Date.now()))
            : await this.#reach(owner, (peer) => peer.hearUses(name.shard, asked));
        for (const [index, question] of asked.entries()) {
          const use = answers?.[index];
          if (use !== undefined) uses.set(keyOf(question), use);
        }
      }),
    );
    return uses;
  }

  /** Of what is lent: who has it. */
  async #askHolders(uses: Uses, questions: ReadonlyMap<string, UseQuestion>): Promise<Held> {
    const here = this.#state.name.shard;
    const asked = new Map<number, Set<CountId>>();
    for (const [key, { lent }] of uses) {
      const id = questions.get(key)?.id;
      if (id === undefined) continue;
      for (const { shard } of lent) asked.set(shard, (asked.get(shard) ?? new Set()).add(id));
    }
    const held: Held = new Map();
    await Promise.all(
      [...asked].map(async ([shard, of]) => {
        const ids = [...of];
        const answers =
          shard === here
            ? this.hearHeld(ids)
            : await this.#reach(shard, (peer) => peer.hearHeld(ids));
        for (const [index, id] of ids.entries()) {
          const answer = answers?.[index];
          if (answer === undefined) continue;
          held.set(id, (held.get(id) ?? new Map<number, HeldHere>()).set(shard, answer));
        }
      }),
    );
    return held;
  }

  /** Undefined: it could not be asked. */
  async #reach<Answer>(
    shard: number,
    call: (peer: Peer) => Promise<Answer>,
  ): Promise<Answer | undefined> {
    try {
      return await this.#peers.call(shard, call);
    } catch (error) {
      this.#state.log.warn("shard.not_reached", { peer: shard, ...errorFields(error) });
      return undefined;
    }
  }
}

/** Tasks that take other units of a key are answered apart. */
function keyOf({ id, units }: UseQuestion): string {
  return `${units} ${id}`;
}
