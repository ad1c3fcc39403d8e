/**
 * What is thrown at the system at a moment of the scenario's choice, one function a kind. Faults
 * that happen to single statements, calls and messages are in the weather.
 */
import type { Link } from "./network.ts";
import type { ObjectHost } from "./object-host.ts";
import type { Random } from "./random.ts";
import type { SimulatedDatabase } from "./simulated-database.ts";
import type { SimulatedProcess } from "./simulated-process.ts";
import type { Weather } from "./weather.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** What a fault can reach. */
export interface Targets {
  random: Random;
  weather: Weather;
  database: SimulatedDatabase;
  /** One of the shards. */
  host: ObjectHost;
  shards: readonly ObjectHost[];
  /** Of the queue of events; undefined while there was nothing for it. */
  drain: ObjectHost | undefined;
  /** Sockets on which messages pass. */
  links: Link[];
  /** Workers that run. */
  workers: WorkerProcess[];
  /** Another worker process, as somebody deploys it. */
  join: () => void;
  /** The platform, for what happens later. */
  platform: SimulatedProcess;
}

/** Does it, and tells to whom; undefined when there is nobody. */
type Fault = (targets: Targets) => string | undefined;

const STOPPED_MS = 60_000;
const DOWN_MS = 15_000;

/** A crash in mid-turn comes within so many turns of the shard. */
const MAX_TURNS = 12;

export const FAULTS = {
  "worker killed": ({ random, workers }) => {
    const worker = random.pick(workers);
    worker?.kill();
    return worker?.name;
  },
  "machine died": ({ random, workers }) => {
    const worker = random.pick(workers);
    worker?.vanish();
    return worker?.name;
  },
  "worker stopped": ({ random, workers }) => {
    const worker = random.pick(workers);
    const ms = random.between(500, STOPPED_MS);
    worker?.block(ms);
    return worker && `${worker.name} for ${ms} ms`;
  },
  "worker drained": ({ random, workers }) => {
    const worker = random.pick(workers.filter(({ isDraining }) => !isDraining));
    worker?.drain();
    return worker?.name;
  },
  "worker joined": ({ join }) => {
    join();
    return "one more";
  },
  "socket broke": ({ random, links }) => {
    const link = random.pick(links);
    link?.break();
    return link?.process.name;
  },
  "socket went silent": ({ random, links }) => {
    const link = random.pick(links);
    link?.silence();
    return link?.process.name;
  },
  "every socket broke": ({ links }) => {
    for (const link of links) link.break();
    return `${links.length} sockets`;
  },
  "shard crashed": ({ host }) => {
    if (host.life === undefined) return undefined;
    host.end("crashed");
    return host.name;
  },
  "shard crashed in mid-turn": ({ host, random }) => {
    const turns = random.between(1, MAX_TURNS);
    host.life?.crashAfter(turns);
    return host.life && `${host.name} after ${turns} turns`;
  },
  "shard crashed with a commit flying": ({ shards, database }) => {
    database.onZombieCommit = (sender) => {
      shards.find(({ life }) => life === sender)?.end("crashed");
    };
    return "whichever commits next";
  },
  "shard evicted": ({ host }) => {
    if (host.life === undefined) return undefined;
    host.end("evicted");
    return host.name;
  },
  "drain crashed": ({ drain }) => {
    if (drain?.life === undefined) return undefined;
    drain.end("crashed");
    return drain.name;
  },
  "storage lost": ({ host }) => {
    host.forget();
    return host.name;
  },
  "alarm dropped": ({ host }) => {
    if (host.disk.alarm === undefined) return undefined;
    host.dropAlarm();
    return host.name;
  },
  "database down": ({ random, weather, database, platform }) => {
    if (weather.database.isDown) return undefined;
    const ms = random.skewed(200, DOWN_MS);
    weather.database.isDown = true;
    database.cutAll();
    platform.after(ms, () => {
      weather.database.isDown = false;
    });
    return `for ${ms} ms`;
  },
  "connections cut": ({ database }) => database.cutAll(),
} satisfies Record<string, Fault>;

export type FaultKind = keyof typeof FAULTS;

const OF_SHARDS: ReadonlySet<FaultKind> = new Set([
  "shard crashed",
  "shard crashed in mid-turn",
  "shard evicted",
  "storage lost",
  "alarm dropped",
]);

/** Whether it befalls a shard: then it may befall several. */
export function isOfShards(kind: FaultKind): boolean {
  return OF_SHARDS.has(kind);
}
