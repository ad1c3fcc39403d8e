/**
 * Has GitHub send the deliveries: a few at rest, one after another, and then all the rest as fast as the
 * workers keep up with. It remembers what was published when, and what for.
 */
import type { Client } from "@skein/sdk";
import type { Publication } from "./check.ts";
import type { RealDelivery } from "./deliveries.ts";
import type { GitHub } from "./github.ts";
import type { Tally } from "./tally.ts";
import { TEXT_KINDS } from "./text.ts";
import { githubDigest, githubTriage } from "./workflows.ts";

/** Deliveries on their way at once. */
export const CHUNK = 25;

/** Tasks published and not done, at most: a short queue, so that latency is not just its length. */
const MAX_OUTSTANDING = 200;

/** Every so many-th delivery of the first round is published at rest. */
const AT_REST_EVERY = 6;

export class Publisher {
  /** Each event once, in the order of publishing. */
  readonly published: Publication[] = [];
  /** When each run's event was about to be published, in milliseconds since 1970. */
  readonly publishedAt = new Map<string, number>();
  readonly atRest = new Set<string>();
  readonly #github: GitHub;
  readonly #skein: Client;
  readonly #tally: Tally;

  constructor(github: GitHub, skein: Client, tally: Tally) {
    this.#github = github;
    this.#skein = skein;
    this.#tally = tally;
  }

  /** Publishes one at a time, each once the run before has finished. */
  async publishAtRest(deliveries: readonly RealDelivery[]): Promise<void> {
    for (const delivery of deliveries.filter(isAtRest)) {
      const runs = await this.#publish([delivery], 1);
      for (const run of runs) {
        this.atRest.add(run);
        await this.#skein.runs.result(run);
      }
    }
  }

  /** Has the same deliveries sent again, as after a failure: they must start nothing. */
  async publishAgain(deliveries: readonly RealDelivery[]): Promise<void> {
    const repeated = deliveries.filter(isAtRest);
    for (const [index, delivery] of repeated.entries()) {
      const event = await this.#github.deliver(delivery, 1);
      const first = this.published[index];
      if (first !== undefined) first.again = event;
    }
  }

  /** Publishes all that is left of the rounds, waiting whenever the workers are behind. */
  async publishRounds(deliveries: readonly RealDelivery[], rounds: number): Promise<void> {
    for (let round = 1; round <= rounds; round += 1) {
      const left = round === 1 ? deliveries.filter((_, index) => !isAtRest(_, index)) : deliveries;
      for (let from = 0; from < left.length; from += CHUNK) {
        await this.#tally.atMost(MAX_OUTSTANDING);
        await this.#publish(left.slice(from, from + CHUNK), round);
      }
    }
  }

  async #publish(deliveries: readonly RealDelivery[], round: number): Promise<string[]> {
    for (const { kind } of deliveries) this.#tally.expect(tasksOf(kind));
    const now = Date.now();
    const events = await Promise.all(deliveries.map((one) => this.#github.deliver(one, round)));
    return deliveries.flatMap(({ name }, index) => {
      const runs = events[index]?.runs ?? [];
      this.published.push({ delivery: `${name} of round ${round}`, runs, again: null });
      for (const run of runs) this.publishedAt.set(run, now);
      return runs;
    });
  }
}

/** Tasks that a delivery of this kind makes. */
export function tasksOf(kind: string): number {
  return (TEXT_KINDS.includes(kind) ? githubTriage : githubDigest).steps.size;
}

function isAtRest(_: RealDelivery, index: number): boolean {
  return index % AT_REST_EVERY === 0;
}
