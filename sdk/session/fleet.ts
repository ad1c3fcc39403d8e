/**
 * The connections of one worker, one a shard, and its slots divided among them. It follows the
 * shards as they come and go; it never leaves a result behind with one that went.
 */
import type { Shard } from "../../protocol/http.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";
import type { Labels } from "../labels.ts";
import type { InFlight } from "./in-flight.ts";

export interface FleetOptions extends Omit<
  ConnectionOptions,
  "shard" | "slots" | "checkShards" | "onShards"
> {
  slots: number;
  listShards: () => Promise<Shard[]>;
  inFlight: InFlight;
}

export class Fleet {
  readonly #options: FleetOptions;
  readonly #connections = new Map<number, Connection>();
  #isPaused = false;
  #isDraining = false;
  /** What they were set to since the greeting; null: never. */
  #labels: Labels | null = null;
  #refresh: Promise<void> | null = null;

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  /** Opens, closes and resizes connections until they are one for each of these shards. */
  follow(shards: readonly Shard[]): void {
    const numbers = new Set(shards.map((shard) => shard.number));
    const kept = shards.toSorted((left, right) => left.number - right.number);
    for (const [index, shard] of kept.entries()) {
      const slots = slotsOf(this.#options.slots, kept.length, index);
      const connection = this.#connections.get(shard.number);
      if (connection === undefined) this.#connections.set(shard.number, this.#open(shard, slots));
      else connection.resize(slots);
    }
    for (const [number, connection] of this.#connections) {
      if (!numbers.has(number)) this.#retire(number, connection);
    }
  }

  /** Resolves once every connection has been welcomed. */
  async ready(): Promise<void> {
    await Promise.all([...this.#connections.values()].map((connection) => connection.ready));
  }

  pause(isPaused: boolean): void {
    this.#isPaused = isPaused;
    for (const connection of this.#connections.values()) connection.pause(isPaused);
  }

  setLabels(labels: Labels): void {
    this.#labels = labels;
    for (const connection of this.#connections.values()) connection.setLabels(labels);
  }

  drain(): void {
    this.#isDraining = true;
    for (const connection of this.#connections.values()) connection.drain();
  }

  async close(): Promise<void> {
    const connections = [...this.#connections.values()];
    this.#connections.clear();
    await Promise.all(connections.map((connection) => connection.close()));
  }

  #open(shard: Shard, slots: number): Connection {
    const connection = new Connection({
      ...this.#options,
      shard,
      slots,
      checkShards: () => this.#checkShards(),
      onShards: () => void this.#checkShards().catch(() => undefined), // Asked again at a reconnect.
    });
    if (this.#labels !== null) connection.setLabels(this.#labels);
    if (this.#isPaused) connection.pause(true);
    if (this.#isDraining) connection.drain();
    return connection;
  }

  // Many connections may ask at once, and one answer does for all.
  #checkShards(): Promise<void> {
    this.#refresh ??= this.#options
      .listShards()
      .then((shards) => {
        if (!this.#isDraining) this.follow(shards);
      })
      .finally(() => {
        this.#refresh = null;
      });
    return this.#refresh;
  }

  /** Lets a shard that is no longer listed have its results; without a socket another takes them. */
  #retire(number: number, connection: Connection): void {
    const { inFlight, report } = this.#options;
    this.#connections.delete(number);
    report("info", `shard ${number} is closing`);
    connection.drain();
    const settled = connection.isWelcome ? inFlight.whenSettledOf(connection) : Promise.resolve();
    void settled
      .then(() => connection.close())
      .then(() => {
        const [other] = this.#connections.values();
        if (other !== undefined) inFlight.reroute(connection, other);
      });
  }
}

/** The share of the connection at `index` of `count`; at least one, or a shard could never work. */
export function slotsOf(slots: number, count: number, index: number): number {
  return Math.max(1, Math.floor(slots / count) + (index < slots % count ? 1 : 0));
}
