/**
 * Who holds which limit, and what is left of each: the changes that reports, ends of runs and a new life
 * make. Written to the shard's own storage in the same turn, so that limits hold over its sleep.
 */
import type { RecoverReply } from "../database/rows.ts";
import type { LimitsRow } from "../database/definition-rows.ts";
import type { RateWindow } from "../protocol/limit-bodies.ts";
import { type Lease, leaseKey, type Reserve } from "./dispatcher/leases.ts";
import type { LimitBook } from "./dispatcher/limit-book.ts";
import { LEASE_SLACK_MS } from "./dispatcher/limits.ts";
import { boundOf, needsOf } from "./dispatcher/needs.ts";
import { type CountId, type Permits, partsOf } from "./dispatcher/permits.ts";
import type { Placement } from "./dispatcher/scheduler.ts";
import { Shares } from "./dispatcher/shares.ts";
import type { ShardState } from "./shard-state.ts";

export class ShardLimits {
  #state: ShardState;
  #shares = new Shares();
  /** Runs that are over, and at which workers still are. */
  #leaving = new Set<string>();
  /** Attempts that are to take longer, once what they hold is lent for so long. */
  #lengthening = new Map<Lease, { ms: number; goOn: (now: number) => void }>();

  constructor(state: ShardState) {
    this.#state = state;
  }

  /** What Postgres has said of limits to a new life. */
  recover({ limits, over, holding, unknownMs }: RecoverReply, now: number): void {
    const { permits, buckets, turns, returns, storage } = this.#state;
    this.change(limits);
    returns.openAll();
    this.endRuns(over);
    if (holding === undefined) return;
    // Whatever was known of attempts is lost: each may run until its time is up, also over the next life.
    permits.closedUntil = now + (unknownMs ?? 0);
    buckets.forget(now);
    storage.writeClosure({ since: now, until: permits.closedUntil });
    for (const run of holding) this.#holdAgain(run);
    turns.openAll();
  }

  /** Stored limits are these now. Of one that was lowered nobody may use again what is let go of. */
  change(limits: LimitsRow): void {
    const { book, lending, permits } = this.#state;
    book.replace(limits);
    lending.contendWhere((id) => isOver(id, permits, book));
  }

  /** Writes down what placements have taken. */
  write(placements: readonly Placement[], now: number): void {
    const { storage, permits, buckets } = this.#state;
    if (buckets.isOvergrown) this.prune(now);
    const runs = placements.filter(({ ofRun }) => ofRun.length > 0).map(({ task }) => task.run);
    storage.writeHolders([...new Set(runs)].map((run) => ({ run, ids: permits.heldBy(run) })));
    storage.writeBuckets(buckets.takeChanged());
  }

  /** What the attempt's lane has paid for it, to be corrected when it settles. */
  note(lease: Lease, placement: Placement): void {
    if (lease.reserved.length > 0) this.#shares.note(lease, placement);
  }

  /** The worker has let go of an attempt. */
  release(lease: Lease): void {
    this.#state.permits.release(leaseKey(lease));
  }

  /** Runs are over: each holds nothing, once no worker is at anything of it. */
  endRuns(runs: readonly string[]): void {
    const { permits, leases, storage } = this.#state;
    const holders = runs.filter((run) => permits.isHolder(run));
    if (holders.length === 0) return;
    const leaving = leases.stillAt(new Set(holders));
    for (const run of leaving) this.#leaving.add(run);
    const gone = holders.filter((run) => !leaving.has(run));
    for (const run of gone) permits.release(run);
    storage.deleteHolders(gone);
  }

  /** The lease has ended: perhaps it was the last of a run that is over. */
  leave({ run }: Lease): void {
    if (!this.#leaving.delete(run)) return;
    this.endRuns([run]);
  }

  /** The attempt has really taken so much. Only its first word of a limit counts. */
  settle(lease: Lease, limit: string, used: number, now: number): void {
    const { buckets, borrowing, ownership, turns, window, storage } = this.#state;
    for (const reserve of lease.reserved) {
      if (reserve.limit !== limit || reserve.used !== undefined) continue;
      const { id, units: reserved } = reserve;
      if (ownership.isOwn(id)) {
        buckets.settle(id, this.#windowsOf(reserve), { reserved, used }, now);
      } else {
        borrowing.refund(id, reserved - used, now);
      }
      this.#shares.settle(lease, reserve, used, turns, window);
      turns.open(id);
    }
    storage.writeLeases([lease]);
    storage.writeBuckets(buckets.takeChanged());
  }

  /** The keys of the limit, or of all that the attempt is under, give nothing until then, and then little. */
  pause(lease: Lease, limit: string | undefined, until: number, now: number): Reserve[] {
    const { buckets, borrowing, lending, ownership, storage } = this.#state;
    const paused = lease.reserved.filter(
      (reserve) => limit === undefined || reserve.limit === limit,
    );
    for (const reserve of paused) {
      const { id, units } = reserve;
      if (ownership.isOwn(id)) {
        buckets.pause(id, this.#windowsOf(reserve), { until, units }, now);
        lending.tellAll(id);
      } else {
        borrowing.pause(id, { until, units }, now);
      }
    }
    storage.writeBuckets(buckets.takeChanged());
    return paused;
  }

  /** Calls back once all that the attempt holds may be held for so long: now, unless some of it is borrowed. */
  whenHeldFor(lease: Lease, ms: number, now: number, goOn: (now: number) => void): void {
    if (this.#isHeldFor(lease, ms, now)) return goOn(now);
    this.#lengthening.set(lease, { ms, goOn });
  }

  /** More was lent, or for longer. */
  heedLoans(now: number): void {
    for (const [lease, { ms, goOn }] of this.#lengthening) {
      const isOver =
        lease.state !== "held" || this.#state.leases.find(lease.task, lease.attempt) !== lease;
      if (!isOver && !this.#isHeldFor(lease, ms, now)) continue;
      this.#lengthening.delete(lease);
      if (!isOver) goOn(now);
    }
  }

  #isHeldFor(lease: Lease, ms: number, now: number): boolean {
    const { borrowing, ownership, permits } = this.#state;
    const needMs = ms + LEASE_SLACK_MS;
    const held = [...permits.heldBy(leaseKey(lease)), ...permits.heldBy(lease.run)];
    const short = held.filter(
      (id) =>
        !ownership.isOwn(id) &&
        borrowing.find(id) !== undefined &&
        !borrowing.covers(id, permits.count(id), needMs, now),
    );
    for (const id of short) borrowing.prolong(id, needMs);
    return short.length === 0;
  }

  /** Forgets buckets that are full. */
  prune(now: number): void {
    const { buckets, storage } = this.#state;
    storage.deleteBuckets(buckets.prune(now));
  }

  /** The limit's windows as they are now; of one that is gone or inline, as they were. */
  #windowsOf({ limit, key, rate }: Reserve): readonly RateWindow[] {
    return this.#state.book.boundOf(limit, key)?.rate ?? rate;
  }

  #holdAgain({ r: run, v, i: input, m: metadata }: Holding): void {
    const { versions, book, limitExpressions, permits, storage } = this.#state;
    const version = versions.find(v);
    const [step] = version?.steps ?? [];
    if (version === undefined || step === undefined) return;
    const data = { input, metadata, parents: {} };
    // A step's own key may not be known yet; its run's is.
    const found = needsOf(data, version, { ...step, dispatch: {} }, book, limitExpressions);
    for (const need of found.ok ? found.needs.needs : []) {
      if (need.isOfRun && boundOf(need, book) !== undefined) permits.take(need.id, run);
    }
    if (permits.isHolder(run)) storage.writeHolders([{ run, ids: permits.heldBy(run) }]);
  }
}

type Holding = NonNullable<RecoverReply["holding"]>[number];

/** Whether more permits of a stored limit are held, here or elsewhere, than there are by now. */
export function isOver(id: CountId, permits: Permits, book: LimitBook): boolean {
  const { limit, key } = partsOf(id);
  return permits.count(id) > (book.boundOf(limit, key)?.concurrency ?? Number.POSITIVE_INFINITY);
}
