/**
 * The outside world: where the steps' effects land, in the one process that nobody kills. Entries
 * are appended and never changed. It honours what Skein gives to handlers, as a user's own store
 * would: an effect is applied once for each step of a run, and a write with an older fencing token
 * than the newest one seen is refused. It knows nothing of Skein and judges nothing.
 */

/** One try of one step, as its handler tells it. */
export interface AttemptRef {
  run: string;
  step: string;
  /** The fencing token. */
  attempt: number;
  worker: string;
}

/** What a step has done in the outside world; the step's output. */
export interface Effect {
  /** Numbers effects in the order in which they were applied, from 1. */
  number: number;
  /** Numbers of the parents' effects, as the handler was told them. */
  after: number[];
}

/**
 * - `begun`: the handler began
 * - `applied`: its effect landed
 * - `found`: an earlier attempt's effect was there, and was given to it
 * - `refused`: a newer attempt had begun
 */
export interface Entry extends AttemptRef {
  kind: "begun" | "applied" | "found" | "refused";
  /** Milliseconds since 1970. */
  at: number;
  effect?: Effect;
}

/**
 * What a worker heard and did: it was welcomed by its shard, sent results again, was told that
 * attempts are no longer its own.
 */
export interface Note {
  kind: "welcomed" | "resent" | "stale";
  worker: string;
  count: number;
  at: number;
}

export class Ledger {
  readonly entries: Entry[] = [];
  readonly notes: Note[] = [];
  readonly #newest = new Map<string, number>();
  readonly #effects = new Map<string, Effect>();
  #watchers: { isReached: () => boolean; resolve: () => void }[] = [];

  /** Effects that have been applied: one for each step of a run. */
  get applied(): number {
    return this.#effects.size;
  }

  /** A handler begins. False when a newer attempt has begun: it must not go on. */
  begin(ref: AttemptRef): boolean {
    if (this.#isFenced(ref)) {
      this.#append({ ...ref, kind: "refused", at: Date.now() });
      return false;
    }
    this.#newest.set(keyOf(ref), ref.attempt);
    this.#append({ ...ref, kind: "begun", at: Date.now() });
    return true;
  }

  /** The step's effect, applied now or by an earlier attempt; undefined when it is refused. */
  apply(ref: AttemptRef, after: number[]): Effect | undefined {
    const at = Date.now();
    if (this.#isFenced(ref)) {
      this.#append({ ...ref, kind: "refused", at });
      return undefined;
    }
    const found = this.#effects.get(keyOf(ref));
    const effect = found ?? { number: this.applied + 1, after };
    this.#effects.set(keyOf(ref), effect);
    this.#append({ ...ref, kind: found ? "found" : "applied", effect, at });
    return effect;
  }

  note(note: Omit<Note, "at">): void {
    this.notes.push({ ...note, at: Date.now() });
    this.#wake();
  }

  /** Resolves in the turn in which it becomes true; rejects when the signal is aborted first. */
  async until(isReached: () => boolean, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (isReached()) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const watcher = { isReached, resolve };
    const giveUp = (): void => reject(signal.reason);
    this.#watchers.push(watcher);
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", giveUp);
      this.#watchers = this.#watchers.filter((other) => other !== watcher);
    }
  }

  #isFenced(ref: AttemptRef): boolean {
    return ref.attempt < (this.#newest.get(keyOf(ref)) ?? 0);
  }

  #append(entry: Entry): void {
    this.entries.push(entry);
    this.#wake();
  }

  #wake(): void {
    for (const { isReached, resolve } of this.#watchers) if (isReached()) resolve();
  }
}

/** The idempotency key of a step's effect. */
export function keyOf({ run, step }: { run: string; step: string }): string {
  return `${run}/${step}`;
}
