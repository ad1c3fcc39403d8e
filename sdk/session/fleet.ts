/**
 * The connections of one worker, one a shard, and its slots divided among them. It follows the
 * shards as they come and go; it never leaves a result behind with one that went.
 */
import type { Shard } from "../../protocol/http.ts";
import type { ShardList, ShardsFrame } from "../../protocol/slot-frames.ts";
import type { Labels } from "../labels.ts";
import { chooseShards, leftOut } from "./affinity.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";
import { Credits } from "./credits.ts";
import type { InFlight } from "./in-flight.ts";
import { newShardDelayMs } from "./reconnect.ts";
import type { Share } from "./share.ts";

export interface FleetOptions extends Omit<
  ConnectionOptions,
  "shard" | "share" | "delayMs" | "checkShards" | "onShards"
> {
  slots: number;
  /** How many shards it connects to; undefined: all. */
  affinity: number | undefined;
  listShards: () => Promise<ShardList>;
  inFlight: InFlight;
}

export class Fleet {
  readonly #options: FleetOptions;
  readonly #connections = new Map<number, Connection>();
  /** Of which shards it knows. */
  #version = 0;
  /** Since there has been more than one shard; a worker of one gives it all its slots. */
  #credits: Credits<Connection> | null = null;
  #isPlanned = false;
  /** What was last said of shards that it leaves out. */
  #leftOut: string | undefined;
  /** Connections that are being left, each with what ends the wait for its last answers. */
  readonly #leaving = new Map<Connection, () => void>();
  #isPaused = false;
  #isDraining = false;
  /** What they were set to since the greeting; null: never. */
  #labels: Labels | null = null;
  #refresh: Promise<void> | null = null;

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  /** Opens and closes connections until they are one for each of these shards, or of those it has chosen. */
  follow({ version = 0, shards }: ShardList): void {
    if (version < this.#version) return;
    this.#version = version;
    const { greeting, affinity, random, report } = this.#options;
    const isKnown = (number: number): boolean => this.#connections.has(number);
    const chosen = chooseShards(shards, greeting.worker, affinity);
    const numbers = new Set(chosen.map(({ number }) => number));
    const left = leftOut(shards, chosen);
    if (left !== undefined && left !== this.#leftOut) report("warn", left);
    this.#leftOut = left;
    const isNew = this.#connections.size === 0;
    if (chosen.length > 1) this.#shareSlots();
    for (const shard of chosen) {
      if (isKnown(shard.number)) continue;
      this.#connections.set(shard.number, this.#open(shard, isNew ? 0 : newShardDelayMs(random)));
    }
    for (const [number, connection] of this.#connections) {
      if (!numbers.has(number)) this.#retire(number, connection);
    }
    this.#planSoon();
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
    const connections = [...this.#connections.values(), ...this.#leaving.keys()];
    this.#connections.clear();
    await Promise.all(connections.map((connection) => connection.close()));
  }

  #open(shard: Shard, delayMs: number): Connection {
    const connection: Connection = new Connection({
      ...this.#options,
      shard,
      delayMs,
      share: this.#shareOf(() => connection),
      checkShards: () => this.#checkShards(),
      onShards: (frame) => this.#hear(frame),
    });
    this.#credits?.join(connection);
    if (this.#labels !== null) connection.setLabels(this.#labels);
    if (this.#isPaused) connection.pause(true);
    if (this.#isDraining) connection.drain();
    return connection;
  }

  /** There are several shards now, if there were not: what the first has been told is its credit. */
  #shareSlots(): void {
    if (this.#credits !== null) return;
    const { slots, inFlight } = this.#options;
    const credits = new Credits<Connection>(slots);
    for (const connection of this.#connections.values()) {
      const { isGreeting, isWelcome } = connection;
      const isTold = isGreeting || isWelcome;
      credits.join(connection, isTold ? { slots, isAnswered: isWelcome } : undefined);
    }
    inFlight.watchUse((origin, used) => {
      credits.use(origin as Connection, used);
      this.#planSoon();
    });
    this.#credits = credits;
  }

  #shareOf(self: () => Connection): Share {
    const { slots: of } = this.#options;
    return {
      greet: () => {
        const slots = this.#credits?.greet(self()) ?? of;
        // A shard that is alone with all of them is told no more than a worker of one shard says.
        const isAlone = this.#credits === null || (this.#credits.size === 1 && slots === of);
        return isAlone ? { slots } : { slots, of };
      },
      open: () => this.#note((credits) => credits.open(self())),
      answer: () => this.#note((credits) => credits.answer(self())),
      want: ({ slots, least }) => this.#note((credits) => credits.want(self(), slots, least)),
      close: () => {
        this.#note((credits) => credits.close(self()));
        this.#leaving.get(self())?.();
      },
    };
  }

  #note(change: (credits: Credits<Connection>) => void): void {
    if (this.#credits === null) return;
    change(this.#credits);
    this.#planSoon();
  }

  /** Once for all that has changed in this turn. */
  #planSoon(): void {
    if (this.#isPlanned || this.#credits?.isDue !== true) return;
    this.#isPlanned = true;
    queueMicrotask(() => {
      this.#isPlanned = false;
      const { slots: of } = this.#options;
      for (const { shard, slots } of this.#credits?.plan() ?? []) shard.credit(slots, of);
    });
  }

  /** A shard has said which shards there are: all workers hear it, and need not all ask. */
  #hear(frame: ShardsFrame): void {
    if (!this.#isDraining && frame.version > this.#version) this.follow(frame);
  }

  // Many connections may ask at once, and one answer does for all.
  #checkShards(): Promise<void> {
    this.#refresh ??= this.#options
      .listShards()
      .then((list) => {
        if (!this.#isDraining) this.follow(list);
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
    this.#credits?.leave(connection);
    report("info", `shard ${number} is closing`);
    connection.drain();
    const left = new Promise<void>((resolve) => {
      this.#leaving.set(connection, resolve);
      if (connection.isWelcome) void inFlight.whenSettledOf(connection).then(resolve);
      else resolve();
    });
    void left
      .then(() => connection.close())
      .then(() => {
        this.#leaving.delete(connection);
        inFlight.loseLeases(connection); // What still runs is another worker's: it can't be resumed there.
        const [other] = this.#connections.values();
        if (other !== undefined) inFlight.reroute(connection, other);
      });
  }
}
