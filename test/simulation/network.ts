/**
 * The network between workers and shards. Messages of one socket stay in order and are late;
 * sockets break, with what is on its way in either direction, or go silent without anybody being
 * told. It never invents, changes or reorders a message.
 */
import { parseShardName } from "../../durable-objects/dispatcher/shard-name.ts";
import { PING, PONG } from "../../protocol/session.ts";
import type { EdgeWorker } from "./edge-worker.ts";
import type { ObjectHost } from "./object-host.ts";
import type { ObjectConnection, UpgradeEnd } from "./object-sockets.ts";
import type { Random } from "./random.ts";
import { SimulatedProcess, type Surroundings } from "./simulated-process.ts";
import type { Weather } from "./weather.ts";
import type { WorkerSocket } from "./worker-socket.ts";

/** The platform notices after so long that nobody is at the other end of a socket. */
export const NOTICED_MS = 45_000;

export class Network {
  readonly links = new Set<Link>();
  readonly random: Random;
  /** Carries what is on its way: it outlives every sender. */
  readonly carrier: SimulatedProcess;
  readonly #surroundings: Surroundings;
  readonly #weather: Weather;
  readonly #edge: EdgeWorker;

  constructor(surroundings: Surroundings, weather: Weather, edge: EdgeWorker, random: Random) {
    this.#surroundings = surroundings;
    this.#weather = weather;
    this.#edge = edge;
    this.random = random;
    this.carrier = new SimulatedProcess("network", surroundings);
  }

  get trace(): Surroundings["trace"] {
    return this.#surroundings.trace;
  }

  get history(): Surroundings["history"] {
    return this.#surroundings.history;
  }

  get now(): number {
    return this.#surroundings.clock.now;
  }

  latencyMs(): number {
    return this.random.skewed(...this.#weather.network.latencyMs);
  }

  /** A worker opens a socket: the edge Worker upgrades the request, or refuses it. */
  open(socket: WorkerSocket, url: string, protocols: string[]): void {
    const refuse = (): void => {
      socket.process.after(this.latencyMs(), () => socket.ended(1006, "refused"));
    };
    this.carrier.after(this.latencyMs(), () => {
      if (this.random.chance(this.#weather.network.refusals)) {
        this.trace.throws("connection refused", socket.process.name);
        return refuse();
      }
      const upgraded = (end: UpgradeEnd, host: ObjectHost): void =>
        this.#connect(socket, end.connection, host);
      this.#edge.upgrade(url.replace(/^ws/, "http"), protocols, upgraded, refuse);
    });
  }

  #connect(socket: WorkerSocket, connection: ObjectConnection, host: ObjectHost): void {
    const link = new Link(this, socket, connection, host);
    connection.link = link;
    this.links.add(link);
    link.open();
  }

  linksOf(process: SimulatedProcess): Link[] {
    return [...this.links].filter((link) => link.process === process);
  }

  /** Links on which messages pass. */
  get healthy(): Link[] {
    return [...this.links].filter(({ isSilent }) => !isSilent);
  }
}

/** One socket: its two directions, each a line in which messages stay in order. */
export class Link {
  readonly process: SimulatedProcess;
  /** The number of the shard. */
  readonly shard: number;
  readonly #network: Network;
  readonly #socket: WorkerSocket;
  readonly #connection: ObjectConnection;
  readonly #host: ObjectHost;
  /** What arrives later than this is lost. */
  #cutAt = Number.POSITIVE_INFINITY;
  #atWorker = 0;
  #atShard = 0;
  isOver = false;
  isSilent = false;
  /** The worker has closed its side. */
  isLeft = false;

  constructor(
    network: Network,
    socket: WorkerSocket,
    connection: ObjectConnection,
    host: ObjectHost,
  ) {
    this.#network = network;
    this.#socket = socket;
    this.process = socket.process;
    this.#connection = connection;
    this.#host = host;
    this.shard = parseShardName(host.id).shard;
  }

  open(): void {
    if (!this.process.isAlive) return this.hangUp();
    this.#toWorker(() => {
      if (!this.#socket.opened(this)) this.hangUp();
    });
  }

  sendToWorker(text: string): void {
    this.#network.history.shardSays(this.shard, this.process.name, text);
    this.#toWorker(() => {
      this.#network.history.workerHears(this.shard, this.process.name, text);
      this.#socket.received(text);
    });
  }

  sendToShard(text: string): void {
    this.#toShard(() => {
      const { autoResponse } = this.#host;
      if (text === PING && autoResponse?.request === PING) {
        this.#connection.answeredAt = new Date(this.#network.now);
        this.#toWorker(() => this.#socket.received(PONG));
        return;
      }
      this.#network.history.shardHears(this.shard, this.process.name, text);
      this.#host.receive(this.#connection, text);
    });
  }

  closeFromWorker(code: number, reason: string): void {
    this.isLeft = true;
    this.#toShard(() => this.#shardSeesEnd(code, reason));
  }

  closeFromShard(code: number, reason: string): void {
    this.#toWorker(() => {
      this.#over();
      this.#socket.ended(code, reason);
      this.#toShard(() => this.#shardSeesEnd(code, reason)); // the worker's side answers by itself
    });
  }

  /** Both sides are told, each in its time; what is on its way is lost. */
  break(): void {
    if (this.isOver) return;
    this.#cutAt = this.#network.now;
    this.#over();
    this.process.after(this.#network.latencyMs(), () => this.#socket.ended(1006, "broken"));
    this.#shardNotices(this.#network.latencyMs());
  }

  /** From now on nothing passes, and nobody is told. */
  silence(): void {
    this.isSilent = true;
    this.#cutAt = Math.min(this.#cutAt, this.#network.now);
    this.#shardNotices(NOTICED_MS);
  }

  /** The worker's process has ended: its machine sends what it had said, and then that. */
  hangUp(): void {
    if (this.isOver) return;
    this.#over();
    this.#toShard(() => this.#shardSeesEnd(1006, ""));
  }

  #over(): void {
    this.isOver = true;
    this.#network.links.delete(this);
  }

  #shardNotices(afterMs: number): void {
    this.#network.carrier.after(afterMs, () => this.#shardSeesEnd(1006, ""));
  }

  #shardSeesEnd(code: number, reason: string): void {
    if (this.#connection.isGone) return;
    this.#connection.isGone = true;
    this.#network.trace.note(this.process.name, `→ shard${this.shard} closed ${code}`);
    this.#host.closed(this.#connection, code, reason);
  }

  #toWorker(arrive: () => void): void {
    this.#atWorker = Math.max(this.#atWorker, this.#network.now + this.#network.latencyMs());
    const at = this.#atWorker;
    this.process.after(at - this.#network.now, () => {
      if (at <= this.#cutAt) arrive();
    });
  }

  #toShard(arrive: () => void): void {
    this.#atShard = Math.max(this.#atShard, this.#network.now + this.#network.latencyMs());
    const at = this.#atShard;
    this.#network.carrier.after(at - this.#network.now, () => {
      if (at <= this.#cutAt) arrive();
    });
  }
}
