/**
 * A process of the simulation: a worker, a client, one life of a shard. Everything it does runs in
 * its context, so that its timers, sockets and database calls are known to be its own: they end with
 * it, and wait while its event loop is blocked.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { History } from "./history.ts";
import type { Network } from "./network.ts";
import type { Random } from "./random.ts";
import type { SimulatedDatabase } from "./simulated-database.ts";
import type { Trace } from "./trace.ts";
import type { Appointment, VirtualClock } from "./virtual-clock.ts";

/** What every process of one simulation shares. */
export interface Surroundings {
  clock: VirtualClock;
  trace: Trace;
  history: History;
  /** Behind `Math.random` and `crypto`. */
  random: Random;
  database: SimulatedDatabase;
  network: Network;
  /** Takes a line that the product has logged. */
  log: (who: string, line: string) => void;
}

const running = new AsyncLocalStorage<SimulatedProcess>();

/** The process whose code is running; undefined outside of any simulation. */
export function currentProcess(): SimulatedProcess | undefined {
  return running.getStore();
}

/** The process whose code is running; for what only processes of a simulation use. */
export function thisProcess(): SimulatedProcess {
  const process = running.getStore();
  if (process === undefined) throw new Error("This happened outside of the simulation's processes");
  return process;
}

/** Runs what belongs to no process: it sees the real time. */
export function outsideOfProcesses<Answer>(work: () => Answer): Answer {
  return running.exit(work);
}

export class SimulatedProcess {
  readonly name: string;
  readonly surroundings: Surroundings;
  isAlive = true;
  /** Its event loop stands still until then: timers and messages wait. */
  blockedUntil = 0;
  /** Ways to the database that are open or being opened, and statements without an answer. */
  databaseUses = 0;
  /** Calls of objects without an answer. */
  callsUnderWay = 0;
  /** Is called after each turn in which something of this process ran. */
  onTurn: (() => void) | undefined;

  constructor(name: string, surroundings: Surroundings) {
    this.name = name;
    this.surroundings = surroundings;
  }

  run<Answer>(work: () => Answer): Answer {
    return running.run(this, work);
  }

  after(ms: number, work: () => void): Appointment {
    return this.surroundings.clock.after(ms, this, work);
  }

  /** Whatever it tells others; a shard's life holds it back until what it has written is durable. */
  say(work: () => void): void {
    if (this.isAlive) work();
  }

  block(ms: number): void {
    this.blockedUntil = Math.max(this.blockedUntil, this.surroundings.clock.now + ms);
  }

  /** Nothing of it happens any more. */
  end(): void {
    this.isAlive = false;
  }

  turned(): void {
    this.onTurn?.();
  }
}
