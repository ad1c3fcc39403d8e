/**
 * The client of the chaos: starts runs in calls of a few, whatever is being thrown. A call that was
 * not answered is repeated under the same idempotency keys until it is, as a user's program would.
 */
import { type Client, SkeinError } from "../../sdk/index.ts";
import { type OrderInput, orderWorkflow } from "./order.ts";
import type { SeededRandom } from "./random.ts";

/** Runs in one call. */
const CALL_SIZE = 20;

/** Milliseconds a step works, at most: so long that a kill finds it at work. */
const LONGEST_WORK_MS = 100;

const order = orderWorkflow(() => {
  throw new Error("The client starts runs and performs none.");
});

export class Load {
  /** Ids of the runs whose start was answered. */
  readonly accepted: string[] = [];
  readonly #client: Client;
  readonly #random: SeededRandom;
  readonly #kind: string;
  readonly #signal: AbortSignal;

  constructor(client: Client, random: SeededRandom, kind: string, signal: AbortSignal) {
    this.#client = client;
    this.#random = random;
    this.#kind = kind;
    this.#signal = signal;
  }

  /** Starts so many runs; resolves once all of them have been accepted. */
  async start(count: number): Promise<void> {
    for (let left = count; left > 0; left -= CALL_SIZE) {
      this.accepted.push(...(await this.#call(Math.min(left, CALL_SIZE))));
    }
  }

  async #call(count: number): Promise<string[]> {
    const metadata = { chaos: this.#kind };
    const items = Array.from({ length: count }, () => ({
      input: { workMs: this.#random.below(LONGEST_WORK_MS) } satisfies OrderInput,
      metadata,
      idempotencyKey: crypto.randomUUID(),
    }));
    for (;;) {
      try {
        const handles = await this.#client.startMany(order, items, { signal: this.#signal });
        return handles.map(({ id }) => id);
      } catch (error) {
        if (!isOutage(error)) throw error;
      }
    }
  }
}

function isOutage(error: unknown): boolean {
  return error instanceof SkeinError && (error.status === 0 || error.status >= 500);
}
