/**
 * Who holds which limit: a set of holders for each count, never a number, so that nothing is freed
 * twice. A holder is an attempt, or for a workflow's limits a run.
 */

/** A limit and a key: what is counted together. */
export type CountId = `${string} ${string}`;

/** An attempt as its lease is named (`LeaseKey`), or a run's id. */
export type Holder = string;

/** A limit's name has no space in it, so what follows the first one is the key. */
export function countId(limit: string, key: string): CountId {
  return `${limit} ${key}`;
}

export function partsOf(id: CountId): { limit: string; key: string } {
  const space = id.indexOf(" ");
  return { limit: id.slice(0, space), key: id.slice(space + 1) };
}

export class Permits {
  #holders = new Map<CountId, Set<Holder>>();
  #held = new Map<Holder, Set<CountId>>();
  #freed = new Set<CountId>();
  /** Until then nobody knows who holds what: nothing that is bounded is given. */
  closedUntil = 0;

  /** How many keys somebody holds. */
  get size(): number {
    return this.#holders.size;
  }

  /** How many hold it. */
  count(id: CountId): number {
    return this.#holders.get(id)?.size ?? 0;
  }

  /** Who holds it, the first to take it first. */
  holdersOf(id: CountId): Iterable<Holder> {
    return this.#holders.get(id) ?? [];
  }

  has(id: CountId, holder: Holder): boolean {
    return this.#holders.get(id)?.has(holder) ?? false;
  }

  /** What a holder has. */
  heldBy(holder: Holder): CountId[] {
    return [...(this.#held.get(holder) ?? [])];
  }

  isHolder(holder: Holder): boolean {
    return this.#held.has(holder);
  }

  /** Runs that hold something of their own. */
  runs(): string[] {
    return [...this.#held.keys()].filter((holder) => !holder.includes("/"));
  }

  /** Everything that somebody holds. */
  ids(): Iterable<CountId> {
    return this.#holders.keys();
  }

  take(id: CountId, holder: Holder): void {
    const holders = this.#holders.get(id);
    if (holders) holders.add(holder);
    else this.#holders.set(id, new Set([holder]));
    const held = this.#held.get(holder);
    if (held) held.add(id);
    else this.#held.set(holder, new Set([id]));
  }

  /** The holder lets go of everything it has. */
  release(holder: Holder): void {
    const held = this.#held.get(holder);
    if (held === undefined) return;
    this.#held.delete(holder);
    for (const id of held) {
      const holders = this.#holders.get(id);
      holders?.delete(holder);
      if (holders?.size === 0) this.#holders.delete(id);
      this.#freed.add(id);
    }
  }

  /** Others may have it: somebody who was to have it does without. */
  noteFreed(id: CountId): void {
    this.#freed.add(id);
  }

  /** What has been let go of since this was last asked. */
  takeFreed(): CountId[] {
    if (this.#freed.size === 0) return [];
    const freed = [...this.#freed];
    this.#freed.clear();
    return freed;
  }
}
