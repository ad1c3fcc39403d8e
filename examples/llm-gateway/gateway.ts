/**
 * Everything of the example beside Skein: the provider, the stored limits that stand for what it allows,
 * and two worker processes. What is started here is also stopped here.
 */
import { Client } from "@skein/sdk";
import { Program } from "../stage/program.ts";
import type { Books, ProviderLimits } from "./books.ts";
import { completion, limitsOf } from "./workflows.ts";

/** What the provider allows in a minute. */
export interface Allowed {
  requests: number;
  tokens: number;
}

/** What the provider's buckets hold; the gateway's hold two seconds' worth, see `workflows.ts`. */
const PROVIDER_BURST_SECONDS = 5;

const WORKERS = 2;

export class Gateway {
  readonly skein: Client;
  /** Rejects when the provider or a worker ends though nobody ended it. */
  readonly broken: Promise<never>;
  readonly #providerUrl: string;
  readonly #programs: Program[];
  readonly #environment: Record<string, string>;
  #fail: (error: unknown) => void = () => {};

  private constructor(
    skein: { url: string; token: string },
    provider: Program,
    providerUrl: string,
  ) {
    this.skein = new Client(skein);
    this.#providerUrl = providerUrl;
    this.#programs = [provider];
    this.#environment = {
      SKEIN_URL: skein.url,
      SKEIN_TOKEN: skein.token,
      PROVIDER_URL: providerUrl,
    };
    this.broken = new Promise<never>((_, reject) => {
      this.#fail = reject;
    });
    this.broken.catch(() => undefined); // Told to whoever races it; nobody may be racing yet.
    provider.failed.catch((error: unknown) => this.#fail(error));
  }

  /** Starts the provider, and stores what it allows. Runs can be started then; workers come later. */
  static async open(skein: { url: string; token: string }, allowed: Allowed): Promise<Gateway> {
    const provider = new Program("The provider", new URL("provider.ts", import.meta.url), {
      PROVIDER_LIMITS: JSON.stringify(providerLimits(allowed)),
    });
    try {
      const gateway = new Gateway(skein, provider, await provider.ready());
      await gateway.putLimits(allowed);
      await gateway.skein.register(completion);
      return gateway;
    } catch (error) {
      await provider.stop();
      throw error;
    }
  }

  /** Tells Skein what the provider allows; in force a round trip later. */
  async putLimits(allowed: Allowed): Promise<void> {
    for (const [name, rate] of limitsOf(allowed)) await this.skein.limits.put(name, { rate });
  }

  async startWorkers(): Promise<void> {
    const workers = Array.from({ length: WORKERS }, (_, index) => {
      const name = `worker-${index + 1}`;
      const module = new URL("worker.ts", import.meta.url);
      return new Program(name, module, { ...this.#environment, WORKER_NAME: name });
    });
    this.#programs.push(...workers);
    for (const { failed } of workers) failed.catch((error: unknown) => this.#fail(error));
    await Promise.all(workers.map((worker) => worker.ready()));
  }

  /** What the provider has written down so far. */
  async readBooks(): Promise<Books> {
    const response = await fetch(`${this.#providerUrl}/books`);
    return (await response.json()) as Books;
  }

  /** The provider allows something else from now on, and tells nobody. */
  async changeProvider(allowed: Allowed): Promise<void> {
    const body = JSON.stringify(providerLimits(allowed));
    await fetch(`${this.#providerUrl}/limits`, { method: "PUT", body });
  }

  async close(): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.stop()));
  }
}

function providerLimits({ requests, tokens }: Allowed): ProviderLimits {
  const rate = (perMinute: number): ProviderLimits["tokens"] => ({
    perMinute,
    burst: (perMinute / 60) * PROVIDER_BURST_SECONDS,
  });
  return { requests: rate(requests), tokens: rate(tokens) };
}
