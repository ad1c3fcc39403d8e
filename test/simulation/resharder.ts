/** Somebody who wants another number of shards, and tries until it is answered. */
import type { ReshardingPlan } from "./shard-plans.ts";
import { SimulatedProcess, type Surroundings } from "./simulated-process.ts";

export interface ResharderParts {
  surroundings: Surroundings;
  setShards: (count: number) => Promise<void>;
}

export class Resharder extends SimulatedProcess {
  readonly #plan: ReshardingPlan;
  readonly #setShards: ResharderParts["setShards"];

  constructor(plan: ReshardingPlan, { surroundings, setShards }: ResharderParts) {
    super("resharder", surroundings);
    this.#plan = plan;
    this.#setShards = setShards;
  }

  start(): void {
    const { shards } = this.#plan;
    const { trace, history } = this.surroundings;
    trace.throws("resharding", this.name, `to ${shards}`);
    const asked = history.asksForShards(shards);
    this.run(() => {
      void this.#setShards(shards).then(() => {
        asked.answeredAt = history.now;
        trace.note(this.name, `has ${shards}`);
      });
    });
  }
}
