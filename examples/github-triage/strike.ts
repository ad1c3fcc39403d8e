/**
 * Kills a worker at the worst moment: one of its effects is in the outside world, and it has not yet
 * told Skein. Then it watches for the first of its tasks to be done again.
 */
import type { Program } from "../stage/program.ts";
import type { Effect } from "./book.ts";

export class Strike {
  readonly #victim: Program;
  readonly #onKilled: () => void;
  readonly #onRescued: (effect: Effect, afterMs: number) => void;
  #killedAt: number | undefined;
  #isRescued = false;

  constructor(
    victim: Program,
    onKilled: () => void,
    onRescued: (effect: Effect, afterMs: number) => void,
  ) {
    this.#victim = victim;
    this.#onKilled = onKilled;
    this.#onRescued = onRescued;
  }

  /** Sees each effect before its writer is answered; `isDue` once the middle is reached. */
  see(effect: Effect, isDue: boolean): void {
    if (this.#killedAt === undefined) {
      if (!isDue || effect.worker !== this.#victim.name) return;
      this.#victim.kill();
      this.#killedAt = performance.now();
      this.#onKilled();
    } else if (!this.#isRescued && effect.fencingToken > 1) {
      this.#isRescued = true;
      this.#onRescued(effect, performance.now() - this.#killedAt);
    }
  }
}
