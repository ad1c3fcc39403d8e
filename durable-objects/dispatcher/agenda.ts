/**
 * What the shard must do at moments that are written down in Postgres: the soonest of them, in
 * memory. Bounded: later ones are read when those are used up. It never claims to know more than it
 * does; an entry whose moment has passed elsewhere is harmless, because Postgres ignores it.
 */
import type { TimerRow } from "../../database/rows.ts";
import type { TimerKind } from "../../protocol/states.ts";
import { MAX_AGENDA } from "./limits.ts";

export class Agenda {
  #timers = new Map<string, TimerRow>();
  /** Timers after this are in Postgres only. */
  #horizon = Number.POSITIVE_INFINITY;
  #soonest = Number.POSITIVE_INFINITY;
  /** The soonest timer that was left to Postgres since a page was last asked for. */
  #left = Number.POSITIVE_INFINITY;

  /** Whether Postgres has timers that this does not know, and the next to be due may be among them. */
  get isExhausted(): boolean {
    return this.#timers.size === 0 && this.#horizon < Number.POSITIVE_INFINITY;
  }

  add(timers: readonly TimerRow[]): void {
    for (const timer of timers) {
      if (timer.d > this.#horizon) {
        this.#left = Math.min(this.#left, timer.d);
        continue;
      }
      this.#timers.set(`${timer.k}/${timer.id}`, timer);
      this.#soonest = Math.min(this.#soonest, timer.d);
    }
    if (this.#timers.size > MAX_AGENDA) this.#shorten();
  }

  /** A page is asked for: it will have every timer that has been set until now. */
  ask(): void {
    this.#left = Number.POSITIVE_INFINITY;
  }

  /** Takes in the soonest timers of the shard, as Postgres has listed them, `limit` at most. */
  read(timers: readonly TimerRow[], limit: number): void {
    const last = timers.length < limit ? undefined : timers.at(-1);
    // A timer that was left to Postgres while the page was on its way need not be on it.
    this.#horizon = Math.min(last?.d ?? Number.POSITIVE_INFINITY, this.#left - 1);
    for (const [key, { d }] of this.#timers) if (d > this.#horizon) this.#timers.delete(key);
    this.add(timers);
  }

  /** It will not be needed: what it was for has happened. */
  forget(id: string, kind: TimerKind): void {
    if (this.#timers.size > 0) this.#timers.delete(`${kind}/${id}`);
  }

  /** Takes what is due by now. */
  take(now: number): TimerRow[] {
    if (this.#soonest > now) return [];
    const due: TimerRow[] = [];
    this.#soonest = Number.POSITIVE_INFINITY;
    for (const [key, timer] of this.#timers) {
      if (timer.d > now) {
        this.#soonest = Math.min(this.#soonest, timer.d);
        continue;
      }
      this.#timers.delete(key);
      due.push(timer);
    }
    return due;
  }

  nextDue(): number {
    return this.#soonest;
  }

  /** Keeps the sooner half. */
  #shorten(): void {
    const sorted = [...this.#timers].toSorted(([, a], [, b]) => a.d - b.d);
    for (const [key] of sorted.splice(MAX_AGENDA / 2)) this.#timers.delete(key);
    this.#horizon = sorted.at(-1)?.[1].d ?? this.#horizon;
  }
}
