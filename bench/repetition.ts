/**
 * One repetition of a load: a number of runs as fast as they go, from the first call until the worker
 * has been told that the last result is recorded, then checked in the database.
 */
import type { StartedRun } from "../protocol/http.ts";
import { machineMs } from "./clock.ts";
import { cpuShares, readCpuTimes } from "./cpu.ts";
import { countCompleted, nextTransaction } from "./database.ts";
import { bodyOf, type HttpConnection, openConnections } from "./load.ts";
import type { Rig } from "./rig.ts";
import type { Effort, LoadShape } from "./scenarios.ts";
import { inputOf } from "./workflows.ts";

export interface Repetition {
  perSecond: number;
  /** Runs a second until the last call was answered. */
  acceptedPerSecond: number;
  commitsPerSecond: number;
  callMs: number[];
  runsPerCommit: number;
  /** Of each process, as shares of one core. */
  cpu: Record<string, number>;
  runIds: string[];
}

/** A tenant with its worker, and where it is. */
export type Loaded = Pick<
  Rig,
  "url" | "database" | "token" | "watched" | "resetWorker" | "whenRecorded"
>;

/** How many runs take about as long as a repetition should: whole calls, each in flight once at least. */
export function runsFor(
  { runsPerCall, callsInFlight }: LoadShape,
  perSecond: number,
  { repetitionMs }: Effort,
): number {
  const calls = (perSecond * repetitionMs) / 1_000 / runsPerCall;
  return Math.max(callsInFlight, Math.ceil(calls)) * runsPerCall;
}

export async function runLoad(rig: Loaded, shape: LoadShape, runs: number): Promise<Repetition> {
  const { workflow, steps, runsPerCall, callsInFlight } = shape;
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
      commitsPerSecond: (commits * 1_000) / elapsedMs,
      callMs,
      runsPerCommit: Math.max(1, Math.round(runs / commits)),
      cpu: cpuShares(cpu, cpuAfter, elapsedMs),
      runIds: ids,
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
