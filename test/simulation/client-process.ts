/**
 * A client: wishes for runs until it is promised them, whatever goes wrong, and waits for their
 * ends. It is told what the SDK tells it, and writes that down.
 */
import { Client } from "../../sdk/client.ts";
import { workflow } from "../../sdk/workflow.ts";
import type { ApiTransport } from "./api-transport.ts";
import type { Promised } from "./history.ts";
import type { StartPlan } from "./scenario.ts";
import { SimulatedProcess, type Surroundings } from "./simulated-process.ts";

/** Runs that a bulk call starts. */
const BULK = 3;

/** Between two wishes, when the SDK has given the first one up. */
const AGAIN_MS = 1_000;

export class ClientProcess extends SimulatedProcess {
  /** It has been promised everything, and told of every end. */
  isDone = false;
  readonly #plan: StartPlan;
  readonly #isFirst: boolean;
  readonly #transport: ApiTransport;
  readonly #address: { url: string; token: string };

  constructor(
    name: string,
    plan: StartPlan,
    parts: {
      surroundings: Surroundings;
      transport: ApiTransport;
      address: { url: string; token: string };
      /** Of those that wish the same: the one that changes its mind. */
      isFirst: boolean;
    },
  ) {
    super(name, parts.surroundings);
    this.#plan = plan;
    this.#isFirst = parts.isFirst;
    this.#transport = parts.transport;
    this.#address = parts.address;
  }

  start(): void {
    this.run(() => {
      const client = new Client({ ...this.#address, fetch: this.#transport.fetchFor(this) });
      this.#wish(client).catch((error: unknown) => {
        this.surroundings.history.blame(`${this.name} could not go on: ${String(error)}`);
      });
    });
  }

  async #wish(client: Client): Promise<void> {
    const runs = await this.#until(() => this.#start(client));
    const cancelled = this.#cancelLater(client, runs);
    for (const run of runs) {
      const { state, outputs } = await this.#until(() => client.runs.result(run));
      this.surroundings.history.told.push({ run, client: this.name, state, outputs });
    }
    await cancelled;
    this.isDone = true;
  }

  async #cancelLater(client: Client, runs: string[]): Promise<void> {
    const { cancelAfterMs } = this.#plan;
    if (cancelAfterMs === undefined || !this.#isFirst) return;
    await new Promise((resolve) => setTimeout(resolve, cancelAfterMs));
    for (const run of runs) {
      const asked = this.surroundings.history.asksToCancel(run);
      const { cancelled } = await this.#until(() => client.runs.cancel(run));
      asked.answer = cancelled;
    }
  }

  /** The runs it has been promised. */
  async #start(client: Client): Promise<string[]> {
    const { label, by, what, input, priority, delayMs: delay } = this.#plan;
    if (by === "event") {
      const wish = { metadata: { label }, idempotencyKey: label };
      const { id, runs, accepted } = await client.publish(what, { ...input }, wish);
      if (accepted) {
        this.surroundings.history.accepted.add(id);
        throw new Error("Accepted only: what it starts is told once it is published");
      }
      return this.#promised([{ label, by, what, runs }]);
    }
    const started = workflow({ name: what });
    if (by === "run") {
      const wish = { metadata: { label }, idempotencyKey: label };
      const { id } = await client.start(started, { ...input }, { ...wish, priority, delay });
      return this.#promised([{ label, by, what, runs: [id] }]);
    }
    const items = Array.from({ length: BULK }, (_, number) => `${label}/${number}`);
    const handles = await client.startMany(
      started,
      items.map((item) => ({
        input: { ...input, label: item },
        priority,
        delay,
        metadata: { label: item },
        idempotencyKey: item,
      })),
    );
    return this.#promised(
      items.map((item, index) => ({ label: item, by, what, runs: [handles[index]?.id ?? ""] })),
    );
  }

  #promised(promises: Omit<Promised, "at">[]): string[] {
    const { history, clock } = this.surroundings;
    for (const promise of promises) history.promised.push({ ...promise, at: clock.now });
    return promises.flatMap(({ runs }) => runs);
  }

  /** Tries for as long as it takes: the SDK's own patience ends sooner. */
  async #until<Answer>(call: () => Promise<Answer>): Promise<Answer> {
    for (;;) {
      try {
        return await call();
      } catch (error) {
        this.surroundings.trace.remark(this.name, String(error));
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  }
}
