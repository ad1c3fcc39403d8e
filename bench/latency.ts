/**
 * Latency at rest: single runs with random gaps between them and nothing else going on. The clock
 * starts just before the API call is sent. What waits for a run's result is measured in runs of its
 * own, because a waiting client costs the run something too.
 */
import type { RunResult, StartedRun } from "../protocol/http.ts";
import { machineMs, randomGap } from "./clock.ts";
import { countCompleted } from "./database.ts";
import { bodyOf, HttpConnection } from "./load.ts";
import type { RawSql } from "./raw.ts";
import type { Rig } from "./rig.ts";
import type { Effort, LatencyScenario, Measured, Result } from "./scenarios.ts";
import { median, quantile, split, spread, sum } from "./statistics.ts";
import { inputOf } from "./workflows.ts";

const WARM_UP = 10;
const RAW_GAP_MS = 10; // nothing but one connection has to come to rest
const RESULT_WAIT_MS = 10_000;

export async function measureLatency(
  rig: Rig,
  raw: RawSql,
  scenario: LatencyScenario,
  effort: Effort,
): Promise<Measured> {
  const { name, workflow, steps, gapMs } = scenario;
  const { samples } = effort;
  await startOneByOne(rig, scenario, WARM_UP);
  const { observations } = await startOneByOne(rig, scenario, samples);
  await raw.latencies(workflow, WARM_UP, RAW_GAP_MS);
  const trips = await raw.latencies(workflow, samples, RAW_GAP_MS);
  const upTo = (commits: number): number => median(trips.map((run) => sum(run.slice(0, commits))));
  const row = (rowName: string, ms: number[], rawMs: number): Result =>
    latencyRow(rowName, ms, rawMs, effort);
  if (steps === 1) {
    return { results: [row(name, observations.start, upTo(1))], notes: [noteOf(samples, gapMs)] };
  }
  const answered = await awaitOneByOne(rig, scenario, samples);
  const between = median(trips.flatMap((run) => run.slice(1, -1)));
  return {
    results: [
      row(name, observations.lastEnd, upTo(steps)),
      row(`chain-${steps}-answer`, answered, upTo(steps + 1)),
      row("step-to-step", observations.stepToStep, between),
    ],
    notes: [noteOf(samples, gapMs)],
  };
}

function latencyRow(name: string, ms: number[], rawMs: number, effort: Effort): Result {
  const p50 = median(ms);
  return {
    name,
    unit: "ms",
    median: p50,
    p50,
    p99: quantile(ms, 0.99),
    spread: spread(split(ms, effort.repetitions).map(median)),
    raw: rawMs,
    ratio: p50 / rawMs,
  };
}

function noteOf(samples: number, gapMs: number): string {
  return `${samples} runs, one every ${gapMs} ms on average`;
}

/** Starts runs that nobody waits for; what their handlers noted comes back from the worker. */
async function startOneByOne(
  rig: Rig,
  { workflow, steps, gapMs }: LatencyScenario,
  samples: number,
): ReturnType<Rig["whenRecorded"]> {
  const connection = new HttpConnection(rig.url, rig.token);
  await connection.open();
  await rig.resetWorker();
  const ids: string[] = [];
  for (let sample = 0; sample < samples; sample++) {
    await randomGap(gapMs);
    ids.push((await startRun(connection, workflow, sample)).id);
  }
  const recorded = await rig.whenRecorded(samples * steps);
  connection.close();
  await countCompleted(rig.database, ids);
  return recorded;
}

/** Milliseconds from each call until a client that waits for the result has it. */
async function awaitOneByOne(
  rig: Rig,
  { workflow, gapMs }: LatencyScenario,
  samples: number,
): Promise<number[]> {
  const connection = new HttpConnection(rig.url, rig.token);
  await connection.open();
  const ids: string[] = [];
  const answeredMs: number[] = [];
  for (let sample = 0; sample < samples; sample++) {
    await randomGap(gapMs);
    const sentAt = machineMs();
    const { id } = await startRun(connection, workflow, sample);
    const path = `/api/v1/runs/${id}/result?waitMs=${RESULT_WAIT_MS}`;
    const answer = bodyOf(await connection.request("GET", path), `GET ${path}`);
    answeredMs.push(machineMs() - sentAt);
    const { state } = JSON.parse(answer) as RunResult;
    if (state !== "completed") throw new Error(`Run ${id} is ${state} after ${RESULT_WAIT_MS} ms.`);
    ids.push(id);
  }
  connection.close();
  await countCompleted(rig.database, ids);
  return answeredMs;
}

async function startRun(
  connection: HttpConnection,
  workflow: string,
  value: number,
): Promise<StartedRun> {
  const path = "/api/v1/runs";
  const input = { ...inputOf(value), sentAt: machineMs() };
  const body = JSON.stringify({ workflow, input });
  return JSON.parse(bodyOf(await connection.request("POST", path, body), `POST ${path}`));
}
