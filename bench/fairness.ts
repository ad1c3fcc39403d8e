/**
 * Fairness: many keys with a limit of one and some tasks each, alone and beside one key with as many
 * tasks as all of them together. The backlog is there before a worker takes any of it, the large key's
 * tasks first in line, so that whoever served by age would serve that key alone for a long time. A wait
 * is counted from the moment the worker takes tasks until the task's handler begins.
 */
import { MAX_WINDOW } from "../durable-objects/dispatcher/limits.ts";
import type { ShardLoad } from "../protocol/http.ts";
import { machineMs, pauseMs } from "./clock.ts";
import { readMemory } from "./memory.ts";
import { bodyOf, HttpConnection, openConnections } from "./load.ts";
import type { Rig, Served } from "./rig.ts";
import type { Effort, FairnessScenario, Measured, Result } from "./scenarios.ts";
import { median, quantile } from "./statistics.ts";
import { keyedInputOf, ONE_A_KEY } from "./workflows.ts";

const RUNS_PER_CALL = 500;
const CALLS_IN_FLIGHT = 4;

/** Between two looks at what the shard has in memory. */
const LOOK_MS = 200;

interface Half {
  /** Of the many keys' tasks, in milliseconds. */
  waits: number[];
  perSecond: number;
  /** MiB of workerd, at most. */
  memory: number;
  /** The most that the shard had of each. */
  load: Pick<ShardLoad, "readyTasks" | "readyBytes" | "lanes">;
}

export async function measureFairness(
  rig: Rig,
  scenario: FairnessScenario,
  { backlog }: Effort,
): Promise<Measured> {
  const lone = { ...backlog, heavyTasks: 0 };
  // What comes later finds plans and compiled code: a round before, and then each half early and late.
  await serve(rig, lone);
  const early = await serve(rig, lone);
  const beside = together(await serve(rig, backlog), await serve(rig, backlog));
  const alone = together(early, await serve(rig, lone));
  const { keys, tasksPerKey, heavyTasks } = backlog;
  const waits: Result = {
    name: scenario.name,
    unit: "ms",
    median: median(beside.waits),
    p50: median(beside.waits),
    p99: quantile(beside.waits, 0.99),
    spread: null,
    raw: median(alone.waits),
    ratio: median(beside.waits) / median(alone.waits),
  };
  const memory: Result = {
    name: `${scenario.name}-memory`,
    unit: "MiB",
    median: beside.memory,
    p50: null,
    p99: null,
    spread: null,
    raw: alone.memory,
    ratio: beside.memory / alone.memory,
  };
  const window: Result = {
    name: `${scenario.name}-window`,
    unit: "tasks",
    median: beside.load.readyTasks,
    p50: null,
    p99: null,
    spread: null,
    raw: MAX_WINDOW,
    ratio: beside.load.readyTasks / MAX_WINDOW,
  };
  return {
    results: [waits, memory, window],
    notes: [
      `${keys} keys with ${tasksPerKey} tasks each, one at a time; raw: without the key that has ${heavyTasks} more`,
      `p99 without it ${quantile(alone.waits, 0.99).toFixed(0)} ms; ${Math.round(alone.perSecond)} tasks/s without it, ${Math.round(beside.perSecond)} beside it`,
      `the shard had at most ${describeLoad(alone)} in memory without it, ${describeLoad(beside)} beside it`,
    ],
  };
}

/** Two rounds of the same half: all waits, and the most of what there was. */
function together(one: Half, other: Half): Half {
  const most = (part: keyof Half["load"]): number => Math.max(one.load[part], other.load[part]);
  return {
    waits: [...one.waits, ...other.waits],
    perSecond: (one.perSecond + other.perSecond) / 2,
    memory: Math.max(one.memory, other.memory),
    load: {
      readyTasks: most("readyTasks"),
      readyBytes: most("readyBytes"),
      lanes: most("lanes"),
    },
  };
}

/** Serves a backlog until the many keys' tasks have all begun. The large key's rest stays behind. */
async function serve(
  rig: Rig,
  { keys, tasksPerKey, heavyTasks }: Effort["backlog"],
): Promise<Half> {
  const served = await rig.serve();
  try {
    await served.pause();
    await startAll(rig, served, heavyTasks, () => keyedInputOf("heavy", false));
    const others = keys * tasksPerKey;
    await startAll(rig, served, others, (n) => keyedInputOf(`key-${n % keys}`, true));
    await rig.database.query("analyze");
    const from = machineMs();
    await served.resume();
    const { startedAt, peak } = await watch(rig, served, others);
    const waits = startedAt.map((at) => at - from);
    const perSecond = (others * 1_000) / quantile(waits, 1);
    return { waits, perSecond, ...peak };
  } finally {
    await served.stop();
  }
}

async function startAll(
  rig: Rig,
  { token }: Served,
  count: number,
  input: (n: number) => object,
): Promise<void> {
  const connections = await openConnections(rig.url, token, CALLS_IN_FLIGHT);
  let next = 0;
  const startSome = async (connection: HttpConnection): Promise<void> => {
    while (next < count) {
      const first = next;
      next = Math.min(count, first + RUNS_PER_CALL);
      const runs = Array.from({ length: next - first }, (_, index) => ({
        workflow: ONE_A_KEY,
        input: input(first + index),
      }));
      const path = "/api/v1/runs/bulk";
      bodyOf(await connection.request("POST", path, JSON.stringify({ runs })), `POST ${path}`);
    }
  };
  try {
    await Promise.all(connections.map(startSome));
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** Looks at the shard and at workerd until so many tasks have begun. */
async function watch(
  rig: Rig,
  { token, whenStarted }: Served,
  count: number,
): Promise<{ startedAt: number[]; peak: Pick<Half, "memory" | "load"> }> {
  const peak = { memory: 0, load: { readyTasks: 0, readyBytes: 0, lanes: 0 } };
  const connection = new HttpConnection(rig.url, token);
  const looking = new AbortController();
  const started = whenStarted(count).finally(() => looking.abort());
  while (!looking.signal.aborted) {
    const path = "/api/v1/shards/0";
    const load = JSON.parse(bodyOf(await connection.request("GET", path), path)) as ShardLoad;
    for (const part of ["readyTasks", "readyBytes", "lanes"] as const) {
      peak.load[part] = Math.max(peak.load[part], load[part]);
    }
    peak.memory = Math.max(peak.memory, readMemory(rig.workerd));
    await pauseMs(LOOK_MS);
  }
  connection.close();
  return { startedAt: await started, peak };
}

function describeLoad({ load: { readyTasks, readyBytes, lanes } }: Half): string {
  return `${readyTasks} tasks (${(readyBytes / 1024 / 1024).toFixed(1)} MiB) in ${lanes} lanes`;
}
