/**
 * Threads that run seeds side by side, one seed each at a time. A seed that takes far too long has
 * its thread ended and counts as failed: nothing can hang whoever waits for the crew.
 */
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { Mutant } from "./mutants.ts";
import type { SeedResult } from "./simulate-seed.ts";
import type { Order, Report, ThreadData } from "./thread.ts";

/** Real time for one seed, a thousand times what it needs. */
const SEED_LIMIT_MS = 120_000;

/** A seed that could not be simulated to its end: the simulation itself is at fault, or it hangs. */
export interface Failure {
  seed: number;
  error: string;
}

export type Outcome = SeedResult | Failure;

export function isFailure(outcome: Outcome): outcome is Failure {
  return "error" in outcome;
}

export interface CrewOptions {
  threads: number;
  mutant?: Mutant | undefined;
  /** Takes the trace of a seed that is run verbosely. */
  print?: ((text: string) => void) | undefined;
}

export class Crew {
  readonly #options: CrewOptions;
  readonly #hands = new Set<Hand>();
  #isStopped = false;

  constructor(options: CrewOptions) {
    this.#options = options;
  }

  /** Runs what `next` gives until it gives no more; tells each outcome as it comes. */
  async run(next: () => Order | undefined, told: (outcome: Outcome) => void): Promise<void> {
    const { threads } = this.#options;
    await Promise.all(Array.from({ length: threads }, () => this.#work(next, told)));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all([...this.#hands].map((hand) => hand.stop()));
  }

  async #work(next: () => Order | undefined, told: (outcome: Outcome) => void): Promise<void> {
    let hand: Hand | undefined;
    for (let order = next(); order !== undefined && !this.#isStopped; order = next()) {
      hand ??= new Hand(this.#options);
      this.#hands.add(hand);
      const outcome = await hand.run(order);
      told(outcome);
      if (!isFailure(outcome)) continue;
      await hand.stop(); // what it left behind could spoil the seeds after it
      hand = undefined;
    }
    await hand?.stop();
  }
}

/** One thread, and the seed that it runs. */
class Hand {
  readonly #thread: Worker;
  #answer: ((outcome: Outcome) => void) | undefined;
  #seed = 0;

  constructor({ mutant, print }: CrewOptions) {
    const workerData: ThreadData = { mutant };
    this.#thread = new Worker(join(import.meta.dirname, "thread.ts"), {
      workerData,
      execArgv: ["--disable-warning=ExperimentalWarning"],
    });
    this.#thread.on("error", (error) => this.#fail(error.stack ?? error.message));
    this.#thread.on("exit", (code) => this.#fail(`Its thread ended with code ${code}`));
    this.#thread.on("message", (report: Report) => {
      if (report.kind === "lines") print?.(report.text);
      else this.#answer?.(report.kind === "result" ? report.result : report);
    });
  }

  async run(order: Order): Promise<Outcome> {
    this.#seed = order.seed;
    const limit = setTimeout(() => {
      this.#fail(`It has not ended after ${SEED_LIMIT_MS / 1_000} s`);
    }, SEED_LIMIT_MS);
    try {
      return await new Promise((resolve) => {
        this.#answer = resolve;
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, no window
        this.#thread.postMessage(order);
      });
    } finally {
      clearTimeout(limit);
      this.#answer = undefined;
    }
  }

  async stop(): Promise<void> {
    await this.#thread.terminate();
  }

  #fail(error: string): void {
    this.#answer?.({ seed: this.#seed, error });
  }
}
