/**
 * The kinds of chaos: what is thrown how often, at how many workers, and what recovery means there.
 */
import type { FleetShape } from "./fleet.ts";
import {
  type Arena,
  crashShard,
  deploy,
  hangNeonProtocol,
  hangPostgres,
  hibernateShard,
  killPostgres,
  killWorker,
  killWorkerd,
  type Throw,
  type Thrown,
} from "./throws.ts";

/**
 * - `rescue`: until a task that was lost with its worker runs elsewhere
 * - `welcome`: until a worker is welcomed again
 * - `run`: until a run that began after the throw has completed
 */
export type RecoveryMeasure = "rescue" | "welcome" | "run";

export interface Kind {
  name: string;
  /** A sentence about the product, for the tests. */
  promise: string;
  fleet: FleetShape;
  /** Volleys, each when its share of the effects has landed. */
  volleys: number;
  strike: (arena: Arena, volley: number) => Promise<Thrown[]>;
  recovery: RecoveryMeasure;
  /** No worker dies, so an attempt that has begun goes on and none is begun in its place. */
  isResumed: boolean;
}

/** Some are always alive while one is killed, and slots enough that lost tasks needn't wait. */
const FEW: FleetShape = { processes: 4, workersEach: 1, slots: 10 };
/** No worker is killed. */
const ONE_PROCESS: FleetShape = { processes: 1, workersEach: 4, slots: 10 };
/** 200 connections, in as few processes as a small machine holds with ease. */
const MANY: FleetShape = { processes: 4, workersEach: 50, slots: 1 };
/** Processes to kill, each with workers that share its fate. */
const GROUPS: FleetShape = { processes: 3, workersEach: 4, slots: 4 };

export const KINDS: readonly Kind[] = [
  {
    name: "workers",
    promise: "workers killed again and again: their tasks run elsewhere, and nothing is lost",
    fleet: FEW,
    volleys: 6,
    strike: inTurn(killWorker),
    recovery: "rescue",
    isResumed: false,
  },
  {
    name: "workerd",
    promise: "workerd killed under load: what was accepted finishes, once",
    fleet: ONE_PROCESS,
    volleys: 4,
    strike: inTurn(killWorkerd),
    recovery: "run",
    isResumed: false,
  },
  {
    name: "postgres",
    promise: "Postgres killed under load: what was accepted finishes, once",
    fleet: ONE_PROCESS,
    volleys: 5,
    strike: inTurn(killPostgres),
    recovery: "run",
    isResumed: true,
  },
  {
    name: "hang",
    promise: "a database that hangs: commits are sent again, and take effect once",
    fleet: ONE_PROCESS,
    volleys: 2,
    strike: inTurn(hangPostgres, hangNeonProtocol),
    recovery: "run",
    isResumed: true,
  },
  {
    name: "evict",
    promise: "a shard evicted under load: running attempts go on as they were",
    fleet: ONE_PROCESS,
    volleys: 21,
    strike: inTurn(hibernateShard, ...Array.from({ length: 20 }, () => crashShard)),
    recovery: "run",
    isResumed: true,
  },
  {
    name: "deploy",
    promise: "a deploy drops 200 workers at once: all are back in time, and their attempts go on",
    fleet: MANY,
    volleys: 3,
    strike: inTurn(deploy),
    recovery: "welcome",
    isResumed: true,
  },
  {
    name: "all",
    promise: "everything dies at once, from a seed: nothing is lost and nothing happens twice",
    fleet: GROUPS,
    volleys: 4,
    strike: atOnce(
      [killWorker],
      [killWorkerd, killWorkerd, crashShard, crashShard],
      [killPostgres, killPostgres, hangPostgres, hangNeonProtocol],
    ),
    recovery: "run",
    isResumed: false,
  },
];

/** One throw a volley. */
function inTurn(...throws: Throw[]): Kind["strike"] {
  return async (arena, volley) => await Promise.all(nth(throws, volley).map((one) => one(arena)));
}

/**
 * One throw of each list a volley, all together; the seed decides in which order, and so what meets
 * what. Throws of one list would get in each other's way.
 */
function atOnce(...lists: Throw[][]): Kind["strike"] {
  return async (arena, volley) => {
    const chosen = lists.flatMap((list, index) =>
      nth(arena.random.fork(`list ${index}`).shuffle(list), volley),
    );
    return await Promise.all(chosen.map((one) => one(arena)));
  };
}

/** The value whose turn it is, alone. */
function nth<Value>(values: readonly Value[], turn: number): Value[] {
  const at = turn % values.length;
  return values.slice(at, at + 1);
}
