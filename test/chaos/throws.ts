/**
 * What is thrown, one function a throw. Each returns when the thing is back, as whoever runs it
 * would have brought it back, and says when it was thrown and which workers it killed. It never
 * waits for a clock but where hanging is the fault itself.
 */
import { setTimeout as pause } from "node:timers/promises";
import { COMMIT_TIMEOUT_MS } from "../../durable-objects/dispatcher/limits.ts";
import { signalTree } from "../../local/process-tree.ts";
import type { Fleet } from "./fleet.ts";
import type { Ledger } from "./ledger.ts";
import type { SeededRandom } from "./random.ts";
import type { ChaosWorld } from "./world.ts";

/** What there is to be thrown at. */
export interface Arena {
  world: ChaosWorld;
  fleet: Fleet;
  ledger: Ledger;
  random: SeededRandom;
}

export interface Thrown {
  what: string;
  /** Milliseconds since 1970. */
  at: number;
  /** Workers that died of it. */
  killed: string[];
}

export type Throw = (arena: Arena) => Promise<Thrown>;

/** Longer than a commit is waited for: it is sent again while the first still hangs. */
export const HANG_MS = COMMIT_TIMEOUT_MS + 5_000;

/** The process whose handler was the last to tell something: it is in the middle of it. */
export const killWorker: Throw = async ({ fleet, ledger }) => {
  const thrown = begin("kill -9 worker");
  thrown.killed = fleet.kill(ledger.entries.at(-1)?.worker ?? "");
  await fleet.replace();
  return thrown;
};

export const killWorkerd: Throw = async ({ world }) => {
  const thrown = begin("kill -9 workerd");
  await world.stack.workerd.kill();
  await world.stack.workerd.restart();
  return thrown;
};

export const killPostgres: Throw = async ({ world }) => {
  const thrown = begin("kill -9 Postgres");
  await world.postgres.kill();
  await world.postgres.restart();
  return thrown;
};

/** Connections stay open, and nothing answers on them. */
export const hangPostgres: Throw = async ({ world }) => {
  const thrown = begin("Postgres hangs");
  await hang(world.postgres.pid);
  return thrown;
};

/** The way to Postgres hangs, with what was said on it. */
export const hangNeonProtocol: Throw = async ({ world }) => {
  const thrown = begin("Neon's proxy hangs");
  await hang(world.stack.database.pid);
  return thrown;
};

/**
 * The sockets stay and wake another life. The platform does this to a quiet shard only, so handlers
 * are held meanwhile: it goes with attempts in every worker's hands and ready tasks in its window.
 */
export const hibernateShard: Throw = async ({ world, fleet }) => {
  const release = fleet.hold();
  try {
    await world.hibernateShard();
  } finally {
    release();
  }
  return begin("shard hibernates");
};

/** In the middle of whatever it does, and its sockets break. */
export const crashShard: Throw = async ({ world }) => {
  const thrown = begin("shard crashes");
  await world.stack.workerd.crashShards();
  return thrown;
};

/** A deploy drops every socket at once; this one is over when all workers are back. */
export const deploy: Throw = async ({ world, fleet }) => {
  const thrown = begin("deploy");
  await world.stack.workerd.crashShards();
  await fleet.untilWelcomed(thrown.at);
  return thrown;
};

function begin(what: string): Thrown {
  return { what, at: Date.now(), killed: [] };
}

async function hang(root: number): Promise<void> {
  signalTree(root, "SIGSTOP");
  await pause(HANG_MS);
  signalTree(root, "SIGCONT");
}
