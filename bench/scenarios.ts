/**
 * What is measured, by name: the names, the shape of each load, and the marks. Names are a contract
 * with whoever reads the JSON; a mark is for a real Postgres with its default durability.
 */
import { ONE_STEP, THREE_STEPS } from "./workflows.ts";

export interface LoadShape {
  workflow: string;
  steps: number;
  /** Runs started by one API call. */
  runsPerCall: number;
  callsInFlight: number;
}

export interface ThroughputScenario extends LoadShape {
  kind: "throughput";
  name: string;
  unit: "runs/s" | "chains/s";
  mark: Mark;
}

export interface LatencyScenario {
  kind: "latency";
  name: "start-latency" | "chain-3-latency";
  unit: "ms";
  workflow: string;
  steps: number;
  /** Mean milliseconds between two runs. */
  gapMs: number;
  mark: Mark;
}

export interface FairnessScenario {
  kind: "fairness";
  name: "fairness";
  mark: Mark;
}

export interface EventsScenario {
  kind: "events";
  name: "events";
  mark: Mark;
}

export interface ShardsScenario {
  kind: "shards";
  name: "shards";
  mark: Mark;
}

export type Scenario =
  | ThroughputScenario
  | LatencyScenario
  | FairnessScenario
  | EventsScenario
  | ShardsScenario;

export interface Mark {
  bound: "at least" | "at most";
  value: number;
  /** Default: the median. */
  of?: "ratio";
}

export const SCENARIOS: readonly Scenario[] = [
  {
    kind: "throughput",
    name: "single-step-batched",
    unit: "runs/s",
    workflow: ONE_STEP,
    steps: 1,
    runsPerCall: 100,
    callsInFlight: 8,
    mark: { bound: "at least", value: 8_000 },
  },
  {
    kind: "throughput",
    name: "single-step",
    unit: "runs/s",
    workflow: ONE_STEP,
    steps: 1,
    runsPerCall: 1,
    callsInFlight: 200,
    mark: { bound: "at least", value: 2_500 },
  },
  {
    kind: "throughput",
    name: "chain-3",
    unit: "chains/s",
    workflow: THREE_STEPS,
    steps: 3,
    runsPerCall: 100,
    callsInFlight: 8,
    mark: { bound: "at least", value: 3_000 },
  },
  {
    kind: "latency",
    name: "start-latency",
    unit: "ms",
    workflow: ONE_STEP,
    steps: 1,
    gapMs: 50,
    mark: { bound: "at most", value: 5 },
  },
  {
    kind: "latency",
    name: "chain-3-latency",
    unit: "ms",
    workflow: THREE_STEPS,
    steps: 3,
    gapMs: 50,
    mark: { bound: "at most", value: 13 },
  },
  // Twice the noise of two equal halves.
  { kind: "fairness", name: "fairness", mark: { bound: "at most", value: 1.15, of: "ratio" } },
  // Ten thousand filters cost less than twice what ten do.
  { kind: "events", name: "events", mark: { bound: "at least", value: 0.5, of: "ratio" } },
  // On the same cores four shards make nothing faster; their smaller commits cost a quarter, or so.
  { kind: "shards", name: "shards", mark: { bound: "at least", value: 0.6, of: "ratio" } },
];

/** What else has a mark: the same memory, whatever waits in the queue, but for what heaps differ by. */
export const MEMORY_MARK: Mark = { bound: "at most", value: 1.3, of: "ratio" };

/** Tasks in the shard's window never pass their bound: there, `raw` is the bound. */
export const WINDOW_MARK: Mark = { bound: "at most", value: 1, of: "ratio" };

/** Of the commits of several shards that are seen at work, those that wait for a lock; `raw` is all that are seen. */
export const LOCKS_MARK: Mark = { bound: "at most", value: 0.01, of: "ratio" };

/** How long and how often everything is measured. */
export interface Effort {
  name: "full" | "quick";
  repetitions: number;
  /** Milliseconds one repetition of a throughput takes, about. */
  repetitionMs: number;
  /** After so long a throughput is repeated no more, so that a slow machine still comes to an end. */
  limitMs: number;
  /** Runs whose latency is measured. */
  samples: number;
  /** Of the measurement of fairness. */
  backlog: { keys: number; tasksPerKey: number; heavyTasks: number };
  /** Gathers statistics once there are rows, instead of leaving that to autovacuum as a user would. */
  isAnalyzed: boolean;
}

export const FULL: Effort = {
  name: "full",
  repetitions: 5,
  repetitionMs: 3_000,
  limitMs: 60_000,
  samples: 200,
  backlog: { keys: 10_000, tasksPerKey: 10, heavyTasks: 100_000 },
  isAnalyzed: false,
};
export const QUICK: Effort = {
  name: "quick",
  repetitions: 3,
  repetitionMs: 800,
  limitMs: 6_000,
  samples: 60,
  backlog: { keys: 1_000, tasksPerKey: 10, heavyTasks: 10_000 },
  isAnalyzed: false,
};

/** One row of the report. Latencies are in milliseconds. */
export interface Result {
  name: string;
  unit: string;
  /** Of the repetitions; for a latency of all samples, and the same as `p50`. */
  median: number;
  /** For latencies only. */
  p50: number | null;
  p99: number | null;
  /** (largest − smallest) / median of the repetitions; null where there are none. */
  spread: number | null;
  /**
   * What it is held against: the same commits sent as SQL alone (runs a second, or milliseconds of the
   * round trips); of fairness the same without the large key; of events the same with ten filters; of shards
   * the same with one.
   */
  raw: number;
  /** Skein's figure / `raw`: at most about 1 for a throughput, at least about 1 for a latency. */
  ratio: number;
}

export interface Measured {
  results: Result[];
  /** Where the time goes, one short line each. */
  notes: string[];
}
