/**
 * Throughput: a number of runs as fast as they go, from the first call until the worker has been
 * told that the last result is recorded, and then checked in the database. Skein and the raw SQL
 * take turns, so that both see the same machine.
 */
import type { StartedRun } from "../protocol/http.ts";
import { machineMs } from "./clock.ts";
import { cpuShares, readCpuTimes } from "./cpu.ts";
import { countCompleted, nextTransaction } from "./database.ts";
import { bodyOf, type HttpConnection, openConnections } from "./load.ts";
import type { RawSql } from "./raw.ts";
import type { Rig } from "./rig.ts";
import type { Effort, Measured, ThroughputScenario } from "./scenarios.ts";
import { median, quantile, spread } from "./statistics.ts";
import { inputOf } from "./workflows.ts";

interface Repetition {
  perSecond: number;
  /** Runs a second until the last call was answered. */
  acceptedPerSecond: number;
  callMs: number[];
  runsPerCommit: number;
  cpu: Record<string, number>;
}

export async function measureThroughput(
  rig: Rig,
  raw: RawSql,
  scenario: ThroughputScenario,
  effort: Effort,
): Promise<Measured> {
  const beganAt = machineMs();
  // Each call in flight once, before anything is known about the speed.
  const firstRuns = scenario.runsPerCall * scenario.callsInFlight;
  const first = await load(rig, scenario, firstRuns);
  if (effort.isAnalyzed) await rig.database.query("analyze");
  const warm = await load(rig, scenario, runsFor(scenario, first.perSecond, effort));
  const runs = runsFor(scenario, warm.perSecond, effort);
  // Also warms up the raw connections, each of which plans the functions for itself.
  await raw.throughput(scenario.workflow, firstRuns, warm.runsPerCommit);
  const repetitions: Repetition[] = [];
  const rawPerSecond: number[] = [];
  for (let number = 0; number < effort.repetitions; number++) {
    if (number > 0 && machineMs() - beganAt > effort.limitMs) break;
    const repetition = await load(rig, scenario, runs);
    repetitions.push(repetition);
    rawPerSecond.push(await raw.throughput(scenario.workflow, runs, repetition.runsPerCommit));
  }
  const perSecond = repetitions.map((repetition) => repetition.perSecond);
  const result = {
    name: scenario.name,
    unit: scenario.unit,
    median: median(perSecond),
    p50: null,
    p99: null,
    spread: spread(perSecond),
    raw: median(rawPerSecond),
    ratio: median(perSecond) / median(rawPerSecond),
  };
  return { results: [result], notes: notesOf(repetitions, runs, scenario) };
}

/** How many runs take about as long as a repetition should: whole calls, each in flight once at least. */
function runsFor(
  { runsPerCall, callsInFlight }: ThroughputScenario,
  perSecond: number,
  { repetitionMs }: Effort,
): number {
  const calls = (perSecond * repetitionMs) / 1_000 / runsPerCall;
  return Math.max(callsInFlight, Math.ceil(calls)) * runsPerCall;
}

async function load(rig: Rig, scenario: ThroughputScenario, runs: number): Promise<Repetition> {
  const { workflow, steps, runsPerCall, callsInFlight } = scenario;
  const items = Array.from({ length: runsPerCall }, (_, value) => ({
    workflow,
    input: inputOf(value),
  }));
  const path = runsPerCall === 1 ? "/api/v1/runs" : "/api/v1/runs/bulk";
  const body = JSON.stringify(runsPerCall === 1 ? items[0] : { runs: items });
  const connections = await openConnections(rig.url, rig.token, callsInFlight);
  try {
    await rig.resetWorker();
    const transaction = await nextTransaction(rig.database);
    const cpu = readCpuTimes(rig.watched);
    const startedAt = machineMs();
    const { answers, callMs } = await call(connections, path, body, runs / runsPerCall);
    const acceptedAt = machineMs();
    const { lastAt } = await rig.whenRecorded(runs * steps);
    const elapsedMs = Math.max(acceptedAt, lastAt) - startedAt;
    const cpuAfter = readCpuTimes(rig.watched);
    const commits = (await nextTransaction(rig.database)) - transaction;
    const ids = answers.flatMap(idsOf);
    if (ids.length !== runs) throw new Error(`${runs} runs were asked for, ${ids.length} started.`);
    await countCompleted(rig.database, ids);
    return {
      perSecond: (runs * 1_000) / elapsedMs,
      acceptedPerSecond: (runs * 1_000) / (acceptedAt - startedAt),
      callMs,
      runsPerCommit: Math.max(1, Math.round(runs / commits)),
      cpu: cpuShares(cpu, cpuAfter, elapsedMs),
    };
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** Every connection sends its next call as soon as it has its answer, until all are sent. */
async function call(
  connections: HttpConnection[],
  path: string,
  body: string,
  calls: number,
): Promise<{ answers: string[]; callMs: number[] }> {
  const answers: string[] = [];
  const callMs: number[] = [];
  let left = calls;
  await Promise.all(
    connections.map(async (connection) => {
      while (left-- > 0) {
        const sentAt = machineMs();
        answers.push(bodyOf(await connection.request("POST", path, body), `POST ${path}`));
        callMs.push(machineMs() - sentAt);
      }
    }),
  );
  return { answers, callMs };
}

function idsOf(answer: string): string[] {
  const parsed = JSON.parse(answer) as StartedRun | { runs: StartedRun[] };
  return "runs" in parsed ? parsed.runs.map(({ id }) => id) : [parsed.id];
}

function notesOf(
  repetitions: readonly Repetition[],
  runs: number,
  { steps }: ThroughputScenario,
): string[] {
  const callMs = repetitions.flatMap((repetition) => repetition.callMs);
  const runsPerCommit = median(repetitions.map((repetition) => repetition.runsPerCommit));
  const accepted = median(repetitions.map(({ acceptedPerSecond }) => acceptedPerSecond));
  const names = Object.keys(repetitions[0]?.cpu ?? {});
  const shares = names.map((name) => {
    const share = median(repetitions.map(({ cpu }) => cpu[name] ?? 0));
    return `${name} ${Math.round(share * 100)}`;
  });
  return [
    `${repetitions.length} × ${runs} runs; a commit carries ${runsPerCommit} runs' worth: ${runsPerCommit * (1 + steps)} starts and results`,
    `calls p50 ${quantile(callMs, 0.5).toFixed(1)} ms, p99 ${quantile(callMs, 0.99).toFixed(1)} ms; accepted ${Math.round(accepted)}/s`,
    `% of a core: ${shares.join(", ")}`,
  ];
}
