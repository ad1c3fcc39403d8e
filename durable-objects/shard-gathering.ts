/**
 * A shard that begins to own keys, or has lost its memory, counts and lends nothing of them until all others have
 * said what they hold.
 */
import { shardNumbers } from "../protocol/shard-map.ts";
import { LEASE_SLACK_MS, MIN_LOAN_MS } from "./dispatcher/limits.ts";
import { isLentTo } from "./dispatcher/lent.ts";
import type { HeldReport, PeerAnswer, PeerHeader } from "./dispatcher/loan-messages.ts";
import type { CountId } from "./dispatcher/permits.ts";
import type { LoanCalls } from "./shard-loan-calls.ts";
import type { ShardState } from "./shard-state.ts";

/** What a shard has said that it holds. */
type Report = HeldReport & { from: number; generation: number };

export class ShardGathering {
  #state: ShardState;
  #calls: LoanCalls;
  /** The term for which all others have said what they hold, and what some have said for the present one. */
  #gathered: string | undefined;
  #isGathering = false;
  #reports: { term: string; of: Map<number, Report> } = { term: "", of: new Map() };

  constructor(state: ShardState, calls: LoanCalls) {
    this.#state = state;
    this.#calls = calls;
    this.#gathered = state.storage.readGathered();
  }

  /** Closes or opens what is counted here, as others own what. */
  heedOwnership(): void {
    const { ownership, lending, map, storage } = this.#state;
    const { term } = this.#calls;
    // Nobody holds anything of it: nor does a shard that is opened, for as long as the owners stay the same.
    if (ownership.isAlone && map.version > 0 && this.#gathered !== term) {
      this.#gathered = term;
      storage.writeGathered(term);
    }
    lending.isClosed = !ownership.isAlone && this.#gathered !== this.#calls.term;
  }

  /** Asks, if something waits for it. */
  fly(now: number): void {
    const { lending } = this.#state;
    if (!lending.isClosed || !lending.isWanted || this.#calls.isResting("gather", now)) return;
    void this.#gather();
  }

  /** A shard that begins to own keys asks what is held of them here. */
  hear(header: PeerHeader): PeerAnswer<HeldReport> {
    const refusal = this.#calls.refusalOf(header);
    if (refusal) return refusal;
    const { ownership, borrowing, permits, buckets, map, storage } = this.#state;
    const now = Date.now();
    const { from, generation } = header;
    // Said by a life of it before the one that this shard has dealt with since: it comes late.
    if (borrowing.knowsLater(from, generation, (id) => ownership.ownerOf(id))) {
      return { kind: "later" };
    }
    const of = { since: map.since, generation };
    // What it has lent to us before it knew nothing counts no more.
    borrowing.void(
      ({ id, record }) =>
        ownership.ownerOf(id) === from &&
        record.generation !== 0 &&
        record.generation !== generation,
      now,
    );
    const counts = new Map<CountId, { count: number; until: number }>();
    for (const loan of borrowing.loans()) counts.set(loan.id, { count: 0, until: 0 });
    for (const id of permits.ids()) {
      const holders = [...permits.holdersOf(id)].filter((holder) => isLentTo(holder) === undefined);
      const until = now + this.#longestOf(holders, now);
      if (holders.length > 0) counts.set(id, { count: holders.length, until });
    }
    const held = [...counts]
      .filter(([id]) => ownership.ownerOf(id) === from)
      .map(([id, { count, until }]) => borrowing.report(id, count, until, of, now));
    const fromBuckets = [...buckets.ids()].filter((id) => ownership.ownerOf(id) === from);
    storage.writeLoans(borrowing.takeChanged());
    return {
      kind: "answer",
      generation: this.#calls.generation,
      held,
      buckets: fromBuckets.flatMap((id) => {
        const bucket = buckets.find(id);
        return bucket ? [{ id, bucket }] : [];
      }),
      unknownUntil: permits.closedUntil,
    };
  }

  /** How long the holders may hold it yet. */
  #longestOf(holders: readonly string[], now: number): number {
    const { leases } = this.#state;
    let longest = MIN_LOAN_MS;
    for (const holder of holders) {
      const [task, attempt] = holder.split("/");
      if (task === undefined || attempt === undefined) continue;
      const deadline = leases.find(task, Number(attempt))?.deadline ?? 0;
      if (Number.isFinite(deadline)) longest = Math.max(longest, deadline - now + LEASE_SLACK_MS);
    }
    return longest;
  }

  /** Asks every other shard what it holds of the keys that are counted here. */
  async #gather(): Promise<void> {
    if (this.#isGathering) return;
    this.#isGathering = true;
    const term = this.#calls.term;
    if (this.#reports.term !== term) this.#reports = { term, of: new Map() };
    const { of: reports } = this.#reports;
    const { map, name, log } = this.#state;
    const others = shardNumbers(map).filter((shard) => shard !== name.shard);
    const header = this.#calls.header;
    await Promise.all(
      // What one has said stays so: it takes no more of them unless this shard lends it.
      others
        .filter((shard) => !reports.has(shard))
        .map(async (shard) => {
          const answer = await this.#calls.reach(shard, (peer) => peer.hearGather(header));
          if (answer?.kind === "answer") reports.set(shard, { ...answer, from: shard });
        }),
    );
    this.#isGathering = false;
    if (term !== this.#calls.term) {
      // Meanwhile others own what: it is asked anew.
    } else if (reports.size < others.length) {
      this.#calls.rest("gather");
      log.info("limits.not_gathered", { missing: others.length - reports.size });
    } else {
      for (const report of reports.values()) this.#install(report);
      const { buckets, ownership } = this.#state;
      buckets.thaw((id) => ownership.isOwn(id), Date.now());
      this.#reports = { term: "", of: new Map() };
      this.#calls.endRest("gather");
      this.#gathered = term;
      this.#state.storage.writeGathered(term);
      this.#state.lending.isWanted = false;
      this.heedOwnership();
      this.#state.turns.openAll();
      this.#state.returns.openAll();
      log.info("limits.gathered", { since: map.since, shards: others.length });
    }
    this.#calls.surroundings.settle();
  }

  #install(report: Report): void {
    const { lending, permits, buckets, map } = this.#state;
    const { from, generation, unknownUntil } = report;
    for (const held of report.held) {
      lending.install(held, { from, generation, since: map.since }, permits);
    }
    for (const { id, bucket } of report.buckets) buckets.merge(id, bucket, Date.now());
    permits.closedUntil = Math.max(permits.closedUntil, unknownUntil);
  }
}
