/** Somebody who wants another number of shards, and tries until it is answered. */
import { Client } from "../../sdk/client.ts";
import type { ApiTransport } from "./api-transport.ts";
import type { EdgeWorker } from "./edge-worker.ts";
import type { AbandonedPlan, ReshardingPlan } from "./shard-plans.ts";
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

/** Somebody asks once, and the isolate that does it dies on the way: perhaps with shards that are open and not taken. */
export function abandonResharding(
  { shards, diesAfterMs }: AbandonedPlan,
  edge: EdgeWorker,
  {
    surroundings,
    address,
  }: { surroundings: Surroundings; address: { url: string; token: string } },
): void {
  const { trace, history } = surroundings;
  trace.throws("abandoned resharding", "director", `to ${shards}, for ${diesAfterMs} ms`);
  const asked = history.asksForShards(shards);
  const request = {
    url: `${address.url}/api/v1/tenant/shards`,
    method: "PUT",
    headers: { authorization: `Bearer ${address.token}`, "content-type": "application/json" },
    body: JSON.stringify({ count: shards }),
  };
  const isolate = edge.answer(request, ({ status }) => {
    if (status === 200) asked.answeredAt = history.now;
  });
  isolate.after(diesAfterMs, () => isolate.end());
}
