/** Somebody who wants another number of shards, and tries until it is answered. */
import { Client } from "../../sdk/client.ts";
import type { ApiTransport } from "./api-transport.ts";
import type { ReshardingPlan } from "./shard-plans.ts";
import { SimulatedProcess, type Surroundings } from "./simulated-process.ts";

/** Between two tries, when the SDK has given the first one up. */
const AGAIN_MS = 1_000;

export class Resharder extends SimulatedProcess {
  readonly #shards: number;
  readonly #client: () => Client;

  constructor(
    { shards }: ReshardingPlan,
    parts: {
      surroundings: Surroundings;
      transport: ApiTransport;
      address: { url: string; token: string };
    },
  ) {
    super("resharder", parts.surroundings);
    this.#shards = shards;
    this.#client = () => new Client({ ...parts.address, fetch: parts.transport.fetchFor(this) });
  }

  start(): void {
    const { trace, history } = this.surroundings;
    trace.throws("resharding", this.name, `to ${this.#shards}`);
    const asked = history.asksForShards(this.#shards);
    this.run(() => {
      void this.#set(this.#client()).then(() => {
        asked.answeredAt = history.now;
      });
    });
  }

  async #set(client: Client): Promise<void> {
    for (;;) {
      try {
        await client.tenant.shards.set(this.#shards);
        return;
      } catch (error) {
        this.surroundings.trace.remark(this.name, String(error));
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  }
}
