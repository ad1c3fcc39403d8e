/**
 * Counts tasks done while the demonstration works, by their effects: each step of each run once.
 * It paces the publishing and feeds the progress bar; it decides nothing about success.
 */
import type { Effect } from "./book.ts";

/** Milliseconds without any task done after which the rest is taken to be stuck: twice a rescue. */
const STALL_MS = 12_000;

const CHECK_MS = 1_000;

interface Waiter {
  outstanding: number;
  resolve: () => void;
}

export class Tally {
  readonly #done = new Set<string>();
  readonly #waiters = new Set<Waiter>();
  #expected = 0;
  #changedAt = performance.now();

  get done(): number {
    return this.#done.size;
  }

  /** Tells that an event with so many tasks is about to be published. */
  expect(tasks: number): void {
    this.#expected += tasks;
  }

  add({ run, step }: Effect): void {
    this.#done.add(`${run} ${step}`);
    this.#changedAt = performance.now();
    for (const waiter of this.#waiters) {
      if (this.#outstanding > waiter.outstanding) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }

  /**
   * Resolves once at most so many published tasks are not done. Rejects when none is done for
   * `STALL_MS`: waiting longer would be waiting for ever.
   */
  async atMost(outstanding: number): Promise<void> {
    this.#changedAt = performance.now(); // What nobody waited for was no stall.
    if (this.#outstanding <= outstanding) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { outstanding, resolve };
    this.#waiters.add(waiter);
    const timer = setInterval(() => {
      if (performance.now() - this.#changedAt > STALL_MS) reject(this.#stalled());
    }, CHECK_MS);
    try {
      await promise;
    } finally {
      clearInterval(timer);
      this.#waiters.delete(waiter);
    }
  }

  get #outstanding(): number {
    return this.#expected - this.#done.size;
  }

  #stalled(): Error {
    return new Error(
      `No task was done for ${STALL_MS / 1_000} s; still to be done: ${this.#outstanding}`,
    );
  }
}
