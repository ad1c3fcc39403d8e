/** Somebody who changes a stored limit while it is in use, and tries until it is answered. */
import { Client } from "../../sdk/client.ts";
import type { ApiTransport } from "./api-transport.ts";
import { type ChangePlan, storedOptions } from "./limit-plans.ts";
import type { Scenario } from "./scenario.ts";
import { SimulatedProcess, type Surroundings } from "./simulated-process.ts";

/** Between two tries, when the SDK has given the first one up. */
const AGAIN_MS = 1_000;

export class LimitChanger extends SimulatedProcess {
  readonly #change: ChangePlan;
  readonly #isByKey: boolean;
  readonly #client: () => Client;

  constructor(
    change: ChangePlan,
    { storedLimits }: Scenario,
    parts: {
      surroundings: Surroundings;
      transport: ApiTransport;
      address: { url: string; token: string };
    },
  ) {
    super(`changer of ${change.name}`, parts.surroundings);
    this.#change = change;
    this.#isByKey = storedLimits.find(({ name }) => name === change.name)?.isByKey === true;
    this.#client = () => new Client({ ...parts.address, fetch: parts.transport.fetchFor(this) });
  }

  start(): void {
    const { name, concurrency, rate } = this.#change;
    const bound = {
      ...(concurrency !== undefined && { concurrency }),
      ...(rate !== undefined && { rate }),
    };
    this.surroundings.trace.note("client", `puts ${name} ${JSON.stringify(bound)}`);
    this.run(() => {
      const client = this.#client();
      void this.#put(client, storedOptions({ isByKey: this.#isByKey, ...bound }));
    });
  }

  async #put(client: Client, options: ReturnType<typeof storedOptions>): Promise<void> {
    for (;;) {
      try {
        await client.limits.put(this.#change.name, options);
        return;
      } catch (error) {
        this.surroundings.trace.remark(this.name, String(error));
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  }
}
