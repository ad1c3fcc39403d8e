/**
 * The tenant's stored limits as the shard knows them. Replaced as a whole when they change; what a key
 * may have is looked up each time, so a changed limit is in force at once.
 */
import type { LimitsRow } from "../../database/definition-rows.ts";
import type { Bound } from "../../protocol/limit-bodies.ts";

export type StoredLimitRow = LimitsRow["limits"][number];

/** What one key may have, and its share beside others. */
export interface KeyBound extends Bound {
  weight?: number;
}

export class LimitBook {
  #version: number | undefined;
  #limits = new Map<string, StoredLimitRow>();
  #everywhere: StoredLimitRow[] = [];
  #byAction = new Map<string, StoredLimitRow[]>();
  #watchers = new Set<{ version: number; known: () => void }>();

  /** The number of what is known; undefined before anything is. */
  get version(): number | undefined {
    return this.#version;
  }

  replace({ version, limits }: LimitsRow): void {
    this.#version = version;
    this.#limits = new Map(limits.map((limit) => [limit.name, limit]));
    this.#everywhere = limits.filter(({ appliesTo }) => appliesTo && "tenant" in appliesTo);
    this.#byAction.clear();
    for (const limit of limits) {
      if (limit.appliesTo === undefined || !("action" in limit.appliesTo)) continue;
      const { action } = limit.appliesTo;
      this.#byAction.set(action, [...(this.#byAction.get(action) ?? []), limit]);
    }
    for (const watcher of this.#watchers) if (watcher.version <= version) watcher.known();
  }

  /** Calls back when a later version is known than now; gives what ends that. */
  whenKnown(version: number, known: () => void): () => void {
    const watcher = { version, known };
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  find(name: string): StoredLimitRow | undefined {
    return this.#limits.get(name);
  }

  /** Limits that tasks of an action are under without naming them. */
  applyingTo(action: string): readonly StoredLimitRow[] {
    const own = this.#byAction.get(action);
    return own === undefined ? this.#everywhere : [...this.#everywhere, ...own];
  }

  /** What a key of a stored limit may have; undefined: the limit is gone, and bounds nothing. */
  boundOf(name: string, key: string): KeyBound | undefined {
    const limit = this.#limits.get(name);
    if (limit?.overrides === undefined) return limit && withoutWeight(limit);
    const override = limit.overrides.find((candidate) => fits(candidate.key, key));
    if (override === undefined) return withoutWeight(limit);
    const { concurrency = limit.concurrency, rate = limit.rate, weight } = override;
    return {
      ...(concurrency !== undefined && { concurrency }),
      ...(rate !== undefined && { rate }),
      ...(weight !== undefined && { weight }),
    };
  }
}

function withoutWeight({ concurrency, rate }: StoredLimitRow): KeyBound {
  return { ...(concurrency !== undefined && { concurrency }), ...(rate !== undefined && { rate }) };
}

function fits(pattern: string, key: string): boolean {
  return pattern.endsWith("*") ? key.startsWith(pattern.slice(0, -1)) : key === pattern;
}
