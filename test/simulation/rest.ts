/** What is left of a simulation at rest, and what it costs while there is nothing to do. */
import { parseShardName } from "../../durable-objects/dispatcher/shard-name.ts";
import type { Network } from "./network.ts";
import type { ObjectHost } from "./object-host.ts";
import type { Objects } from "./objects.ts";
import type { Postgres } from "./postgres.ts";
import type { SimulatedDatabase } from "./simulated-database.ts";
import type { VirtualClock } from "./virtual-clock.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** Over at least one tick of the installation's clock. */
export const MINUTE_MS = 61_000;

export interface Rest {
  /** To the database. */
  connections: number;
  /** Whose alarms are set, and when they would go off. */
  alarms: { of: string; at: number }[];
  /** Objects that are in memory. */
  awake: string[];
  shards: ShardAtRest[];
  /** What shards asked of Postgres while there was nothing to do. */
  statements: number;
  /** Those that run. */
  workers: string[];
  sockets: SocketAtRest[];
}

export interface ShardAtRest {
  name: string;
  number: number;
  /** Rows in its own storage. */
  leases: number;
  holders: number;
  /** How often it was woken while there was nothing to do. */
  deliveries: number;
}

/** Which worker is connected to which shard, by its number. */
export interface SocketAtRest {
  worker: string;
  shard: number;
}

/** Whether nothing is in memory, and nothing is to be. */
export function isAtRest(objects: Objects): boolean {
  return objects.all.every(({ life, disk }) => life === undefined && disk.alarm === undefined);
}

/** Whether Postgres has something for a shard that should have happened by now. */
export async function isSomethingDue(postgres: Postgres, now: number): Promise<boolean> {
  const text = "select exists (select from v1.timer where due_at <= v1.moment($1)) as due";
  const { rows } = await postgres.query(text, [now]);
  return rows[0]?.["due"] === true;
}

/** Lets it rest, and looks at what there is then. */
export async function watchRest(
  clock: VirtualClock,
  {
    objects,
    database,
    network,
    workers,
  }: {
    objects: Objects;
    database: SimulatedDatabase;
    network: Network;
    workers: readonly WorkerProcess[];
  },
): Promise<Rest> {
  const before = new Map(objects.shards.map((host) => [host, host.deliveries]));
  const { statements } = database;
  await clock.run(() => false, clock.now + MINUTE_MS);
  return {
    connections: database.held.length,
    alarms: objects.all.flatMap(({ name, disk }) =>
      disk.alarm === undefined ? [] : [{ of: name, at: disk.alarm }],
    ),
    awake: objects.all.filter(({ life }) => life !== undefined).map(({ name }) => name),
    shards: objects.shards.map((host) => shardAtRest(host, before.get(host) ?? 0)),
    statements: database.statements - statements,
    workers: workers.filter(({ isAlive }) => isAlive).map(({ name }) => name),
    sockets: network.healthy
      .filter(({ isLeft }) => !isLeft)
      .map(({ process, shard }) => ({ worker: process.name, shard })),
  };
}

function shardAtRest(host: ObjectHost, before: number): ShardAtRest {
  return {
    name: host.name,
    number: parseShardName(host.id).shard,
    leases: host.disk.count("attempt"),
    holders: host.disk.count("holder"),
    deliveries: host.deliveries - before,
  };
}
