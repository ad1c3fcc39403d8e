/**
 * Kinds of bad days. Each throws some things often and others never, so that what it finds is found
 * by many seeds and not hidden behind something louder.
 */
import type { BehaviourKind } from "./behaviour.ts";
import type { FaultKind } from "./faults.ts";
import type { Random } from "./random.ts";
import type { Sharding } from "./shard-plans.ts";
import type { Span, Weather } from "./weather.ts";

export interface Theme {
  /** How often it is drawn. */
  weight: number;
  lastsMs: Span;
  workers: Span;
  slots: Span;
  starts: Span;
  timeoutMs: Span;
  faultCount: Span;
  /** The part of the bad time, from its beginning, in which runs are started and faults happen. */
  startsWithin: number;
  faultsWithin: number;
  isEveryWorkerAble: boolean;
  /** Whether there are retries, limits, children and cancellations: without, what ends can be told. */
  hasFailures: boolean;
  /** In how many of its seeds there are limits. */
  limits: number;
  shards: Sharding;
  faults: { [Kind in FaultKind]?: number };
  behaviours: { [Kind in BehaviourKind]?: number };
  weather: (calm: Weather, random: Random) => Weather;
}

/** What handlers do where failures are what it is about. */
const FAILING = {
  throws: 0.08,
  "throws for good": 0.02,
  "asks for a later retry": 0.02,
  "extends its timeout": 0.04,
  spawns: 0.08,
} as const;

const USUAL = {
  lastsMs: [5_000, 25_000],
  workers: [1, 3],
  slots: [1, 4],
  starts: [2, 6],
  timeoutMs: [3_000, 15_000],
  faultCount: [3, 10],
  startsWithin: 0.9,
  faultsWithin: 1,
  isEveryWorkerAble: false,
  hasFailures: true,
  limits: 0.3,
  shards: { many: 0.35, reshards: 0.5 },
  behaviours: { slow: 0.5, ...FAILING },
  weather: (calm) => calm,
} satisfies Partial<Theme>;

const WORKER_FAULTS = {
  "worker killed": 3,
  "machine died": 2,
  "worker stopped": 3,
  "worker drained": 1,
  "worker joined": 1,
} as const;

const NETWORK_FAULTS = {
  "socket broke": 5,
  "socket went silent": 3,
  "every socket broke": 1,
} as const;

const SHARD_FAULTS = {
  "shard crashed": 3,
  "shard crashed in mid-turn": 6,
  "shard crashed with a commit flying": 3,
  "shard evicted": 2,
  "drain crashed": 3,
  "storage lost": 1,
  "alarm dropped": 0.5,
} as const;

const DATABASE_FAULTS = { "database down": 2, "connections cut": 2 } as const;

function roughNetwork(weather: Weather, random: Random): Weather {
  return {
    ...weather,
    network: { latencyMs: [1, random.pick([50, 500, 4_000])], refusals: 0.05 },
    api: {
      latencyMs: [1, random.pick([50, 1_000, 20_000])],
      troubles: {
        lost: 0.05,
        "answer lost": 0.08,
        hung: 0.02,
        repeated: 0.08,
        "isolate died": 0.04,
      },
    },
  };
}

function roughShard(weather: Weather, random: Random): Weather {
  return {
    ...weather,
    alarms: { lateMs: [0, random.pick([50, 3_000])], repeats: 0.1 },
    shard: {
      hopMs: [0, 20],
      coldStartMs: [2, 400],
      durableMs: [0, random.pick([10, 200])],
      troubles: { overloaded: random.pick([0, 0.1, 0.4]), "answer lost": random.pick([0, 0.1]) },
    },
  };
}

function roughDatabase(weather: Weather, random: Random): Weather {
  const often = random.pick([0.3, 1, 2.5]);
  return {
    ...weather,
    database: {
      ...weather.database,
      latencyMs: [1, random.pick([10, 200, 6_000])],
      openFailures: 0.1,
      troubles: {
        "cut before": 0.03 * often,
        "cut after": 0.05 * often,
        "hung before": 0.01 * often,
        "hung after": 0.015 * often,
        zombie: 0.04 * often,
        "passing error": 0.04 * often,
      },
    },
  };
}

export const THEMES = {
  storm: {
    ...USUAL,
    weight: 35,
    faults: { ...WORKER_FAULTS, ...NETWORK_FAULTS, ...SHARD_FAULTS, ...DATABASE_FAULTS },
    behaviours: {
      slow: 0.5,
      long: 0.05,
      ...FAILING,
      overruns: 0.04,
      "ignores its abort": 0.03,
      hangs: 0.01,
      "blocks its event loop": 0.02,
      "kills its process": 0.02,
    },
    weather: (calm, random) =>
      roughDatabase(roughShard(roughNetwork(calm, random), random), random),
  },
  workers: {
    ...USUAL,
    weight: 15,
    faults: WORKER_FAULTS,
    behaviours: {
      slow: 0.5,
      long: 0.1,
      ...FAILING,
      overruns: 0.08,
      "ignores its abort": 0.06,
      hangs: 0.02,
      "blocks its event loop": 0.05,
      "kills its process": 0.05,
    },
  },
  network: { ...USUAL, weight: 12, faults: NETWORK_FAULTS, weather: roughNetwork },
  shard: { ...USUAL, weight: 15, faults: SHARD_FAULTS, weather: roughShard },
  database: { ...USUAL, weight: 13, faults: DATABASE_FAULTS, weather: roughDatabase },
  /** Shards die with a commit flying, and it lands when their next life has begun (rule R1). */
  epochs: {
    ...USUAL,
    weight: 5,
    lastsMs: [2_000, 6_000],
    faultCount: [1, 1],
    isEveryWorkerAble: true,
    limits: 0,
    faults: { "shard crashed with a commit flying": 1 },
    behaviours: { slow: 0.8 },
  },
  /** Timeouts so long that nothing ends by them: what is lost must be found by whoever lost it. */
  patience: {
    ...USUAL,
    weight: 8,
    lastsMs: [20_000, 60_000],
    timeoutMs: [90_000, 120_000],
    faultCount: [4, 10],
    hasFailures: false,
    limits: 0, // a shard that has lost its memory gives nothing for the longest timeout
    isEveryWorkerAble: true,
    faults: {
      "worker killed": 3,
      "machine died": 2,
      "socket broke": 2,
      "shard crashed in mid-turn": 6,
      "shard crashed with a commit flying": 3,
      "connections cut": 1,
      "database down": 1,
    },
    behaviours: { slow: 0.6, long: 0.2 },
    weather: (calm, random) => roughDatabase(calm, random),
  },
  /** Many runs and little that they may have at once, while whoever knows who has it dies. */
  limits: {
    ...USUAL,
    weight: 25,
    starts: [6, 14],
    workers: [2, 3],
    slots: [2, 6],
    timeoutMs: [3_000, 8_000],
    limits: 1,
    faults: { ...WORKER_FAULTS, ...NETWORK_FAULTS, ...SHARD_FAULTS, "database down": 1 },
    behaviours: {
      slow: 0.5,
      long: 0.05,
      ...FAILING,
      spawns: 0.15,
      overruns: 0.04,
      "ignores its abort": 0.03,
      "settles for less": 0.15,
      "meets its rate limit": 0.05,
    },
    weather: (calm, random) => {
      const rough = random.chance(0.5) ? roughNetwork(calm, random) : calm;
      return random.chance(0.5) ? roughShard(rough, random) : rough;
    },
  },
  /** The number of shards changes again and again, while they and whoever places runs on them die. */
  resharding: {
    ...USUAL,
    weight: 25,
    starts: [4, 12],
    workers: [1, 4],
    shards: { many: 1, reshards: 1 },
    faultCount: [0, 8],
    faults: { ...WORKER_FAULTS, ...NETWORK_FAULTS, ...SHARD_FAULTS, "database down": 1 },
    weather: (calm, random) => {
      const rough = random.chance(0.5) ? roughNetwork(calm, random) : calm;
      return random.chance(0.5) ? roughShard(rough, random) : rough;
    },
  },
  /** One worker dies on a good day: how long until its tasks run elsewhere? */
  rescue: {
    ...USUAL,
    weight: 7,
    lastsMs: [45_000, 50_000],
    workers: [2, 3],
    slots: [3, 4],
    starts: [1, 2],
    timeoutMs: [50_000, 60_000],
    faultCount: [1, 1],
    startsWithin: 0.05,
    faultsWithin: 0.25,
    shards: { many: 0.2, reshards: 0 },
    hasFailures: false,
    limits: 0,
    isEveryWorkerAble: true,
    faults: { "worker killed": 1, "machine died": 1, "worker stopped": 1, "socket went silent": 1 },
    behaviours: { long: 0.9 },
  },
  /** Handlers alone fail, and often enough that a task uses up its retries. */
  calm: { ...USUAL, weight: 3, faults: {}, behaviours: { slow: 0.2, throws: 0.3, overruns: 0.1 } },
} satisfies Record<string, Theme>;

export type ThemeName = keyof typeof THEMES;
