/**
 * Token buckets, one for each key of a rate limit, with a level for each of the limit's windows. They
 * fill evenly with time, and are never looked at while nobody wants anything of them.
 */
import type { RateWindow } from "../../protocol/limit-bodies.ts";
import { MAX_DEBT_MS, MAX_UNPRUNED_BUCKETS } from "./limits.ts";
import type { CountId } from "./permits.ts";

export interface Bucket {
  /** As they were when it was last taken from. */
  windows: readonly RateWindow[];
  /** Units in each window; below zero: more was taken than there was, and is owed. */
  levels: number[];
  /** When the levels were such, in milliseconds since 1970; while it is paused, when they will be. */
  at: number;
  /** Nothing is given before: a worker was told so. */
  pausedUntil: number;
}

export class Buckets {
  #unitsOut: (id: CountId) => number;
  #buckets = new Map<CountId, Bucket>();
  #changed = new Set<CountId>();
  /** How many the last pruning has left. */
  #kept = 0;
  /** Buckets that are not known were empty then: what was in them is lost. */
  #emptyAt: number | undefined;

  /** @param unitsOut Units that are lent, and may be taken elsewhere at any time: a bucket holds as many less. */
  constructor(unitsOut: (id: CountId) => number = () => 0) {
    this.#unitsOut = unitsOut;
  }

  /** As an earlier life has left it. */
  restore(id: CountId, bucket: Bucket): void {
    this.#buckets.set(id, bucket);
  }

  /** What an earlier life knew of buckets is lost: each begins empty. */
  forget(now: number): void {
    this.#buckets.clear();
    this.#emptyAt = now;
  }

  /**
   * Another shard had it: what is known of it here as well counts where that is less. Nobody has units of it any more
   * that are not known of here, so it fills from now on, also one that was kept from it (`freeze`).
   */
  merge(id: CountId, bucket: Bucket, now: number): void {
    const known = this.#buckets.get(id);
    const other = filled(bucket, bucket.windows, now);
    const own = known === undefined ? other : filled(known, bucket.windows, now);
    const levels = other.levels.map((level, index) => Math.min(level, own.levels[index] ?? level));
    const pausedUntil = Math.max(own.pausedUntil, other.pausedUntil);
    const at = pausedUntil > now ? Math.max(own.at, other.at) : now;
    this.#keep(id, { windows: bucket.windows, levels, at, pausedUntil });
  }

  /** Its key is another shard's, and units that were lent from here may be taken until then: it does not fill before. */
  freeze(id: CountId, until: number, now: number): void {
    const known = this.#buckets.get(id);
    if (known === undefined) return;
    const { at, ...bucket } = this.#filled(id, known.windows, now);
    this.#keep(id, { ...bucket, at: Math.max(at, until) });
  }

  /** What others have of these is known: those that were kept from it fill again. */
  thaw(isKnown: (id: CountId) => boolean, now: number): void {
    for (const [id, bucket] of this.#buckets) {
      if (bucket.at <= now || bucket.pausedUntil > now || !isKnown(id)) continue;
      this.#keep(id, { ...bucket, at: now });
    }
  }

  get size(): number {
    return this.#buckets.size;
  }

  find(id: CountId): Bucket | undefined {
    return this.#buckets.get(id);
  }

  ids(): Iterable<CountId> {
    return this.#buckets.keys();
  }

  /** When so many units can be taken: by `now` or before, at once. More than it holds: when it is full. */
  availableAt(id: CountId, windows: readonly RateWindow[], units: number, now: number): number {
    const bucket = this.#filled(id, windows, now);
    let at = bucket.pausedUntil;
    for (const [index, window] of windows.entries()) {
      const level = bucket.levels[index] ?? 0;
      const missing = Math.min(units, capacityOf(window)) - level;
      // Sums of fractions fall short by less than this.
      if (missing > 1e-9)
        at = Math.max(at, bucket.at + Math.ceil((missing * window.perMs) / window.units));
    }
    return at;
  }

  /** Units in the window that has least. */
  available(id: CountId, windows: readonly RateWindow[], now: number): number {
    const { levels } = this.#filled(id, windows, now);
    return Math.max(0, Math.min(...levels));
  }

  take(id: CountId, windows: readonly RateWindow[], units: number, now: number): void {
    const bucket = this.#filled(id, windows, now);
    bucket.levels = bucket.levels.map((level) => level - units);
    this.#keep(id, bucket);
  }

  /** An attempt has taken `used` units in place of the `reserved` ones. */
  settle(
    id: CountId,
    windows: readonly RateWindow[],
    { reserved, used }: { reserved: number; used: number },
    now: number,
  ): void {
    const bucket = this.#filled(id, windows, now);
    bucket.levels = bucket.levels.map((level, index) => {
      const window = windows[index];
      const most = window === undefined ? 0 : mostOwed(window);
      return Math.max(level + reserved - used, Math.min(level, -most));
    });
    this.#keep(id, bucket);
  }

  /**
   * Nothing is given until then, because somebody was refused so many units. They may be had then, and no
   * more: who has refused them has saved up nothing, so what had gathered here would be refused as well.
   */
  pause(
    id: CountId,
    windows: readonly RateWindow[],
    { until, units }: { until: number; units: number },
    now: number,
  ): void {
    const bucket = this.#filled(id, windows, Math.max(now, until));
    bucket.levels = bucket.levels.map((level) => Math.min(level, units));
    bucket.pausedUntil = Math.max(bucket.pausedUntil, until);
    this.#keep(id, bucket);
  }

  /** Units that were lent are about to be fewer: until now the bucket had no room for them. */
  refill(id: CountId, now: number): void {
    const known = this.#buckets.get(id);
    if (known) this.#keep(id, this.#filled(id, known.windows, now));
  }

  /** Those that have changed since this was last asked. */
  takeChanged(): [CountId, Bucket][] {
    if (this.#changed.size === 0) return [];
    const changed = [...this.#changed].flatMap((id): [CountId, Bucket][] => {
      const bucket = this.#buckets.get(id);
      return bucket ? [[id, bucket]] : [];
    });
    this.#changed.clear();
    return changed;
  }

  /** Whether there are twice as many as the last pruning has left. */
  get isOvergrown(): boolean {
    return this.#buckets.size > Math.max(MAX_UNPRUNED_BUCKETS, 2 * this.#kept);
  }

  /** Forgets those that are as good as new, and names them. */
  prune(now: number): CountId[] {
    const gone: CountId[] = [];
    for (const [id, bucket] of this.#buckets) {
      if (!isFull(this.#filled(id, bucket.windows, now), now)) continue;
      gone.push(id);
      this.#buckets.delete(id);
    }
    this.#kept = this.#buckets.size;
    return gone;
  }

  /** When all of them are as good as new, if nothing is taken meanwhile; zero without any. */
  get fullAt(): number {
    let at = 0;
    for (const bucket of this.#buckets.values()) at = Math.max(at, fullAt(bucket));
    return at;
  }

  #keep(id: CountId, bucket: Bucket): void {
    this.#buckets.set(id, bucket);
    this.#changed.add(id);
  }

  #filled(id: CountId, windows: readonly RateWindow[], now: number): Bucket {
    const known = this.#buckets.get(id);
    const unitsOut = this.#unitsOut(id);
    if (known) return filled(known, windows, now, unitsOut);
    const levels = windows.map((window) => (this.#emptyAt === undefined ? capacityOf(window) : 0));
    const fresh = { windows, levels, at: this.#emptyAt ?? now, pausedUntil: 0 };
    return filled(fresh, windows, now, unitsOut);
  }
}

/** What one window may owe after a settlement: a mistake in one must not close a key for good. */
function mostOwed({ units, perMs }: RateWindow): number {
  return units * Math.max(1, MAX_DEBT_MS / perMs);
}

function capacityOf({ units, burst = units }: RateWindow): number {
  return burst;
}

/** The bucket as it is now. A window that is new to it begins full; one that has shrunk overflows. */
function filled(
  { windows: before, levels, at, pausedUntil }: Bucket,
  windows: readonly RateWindow[],
  now: number,
  unitsOut = 0,
): Bucket {
  const passedMs = Math.max(0, now - at);
  return {
    windows,
    levels: windows.map((window) => {
      const capacity = capacityOf(window) - unitsOut;
      const known = levels[before.findIndex(({ perMs }) => perMs === window.perMs)];
      if (known === undefined) return capacity;
      return Math.min(capacity, known + (passedMs * window.units) / window.perMs);
    }),
    at: Math.max(at, now),
    pausedUntil,
  };
}

function fullAt({ windows, levels, at, pausedUntil }: Bucket): number {
  const waits = windows.map((window, index) => {
    const missing = capacityOf(window) - (levels[index] ?? 0);
    return missing > 0 ? Math.ceil((missing * window.perMs) / window.units) + 1 : 0; // sums of fractions fall short
  });
  return Math.max(pausedUntil, at + Math.max(0, ...waits));
}

function isFull({ windows, levels, pausedUntil }: Bucket, now: number): boolean {
  return (
    pausedUntil <= now &&
    windows.every((window, index) => (levels[index] ?? 0) >= capacityOf(window))
  );
}
