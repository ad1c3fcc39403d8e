/**
 * One shard against four: the same load on two tenants, by turns, on the same machine. Here more
 * shards can't be faster: workerd runs all of them in one thread, beside Postgres and the worker. What
 * it shows is what they cost each run, that they commit side by side, and whether any waits for another.
 */
import { loadavg } from "node:os";
import { machineMs } from "./clock.ts";
import { countByShard } from "./database.ts";
import { runLoad, runsFor } from "./repetition.ts";
import type { Rig } from "./rig.ts";
import type { Effort, LoadShape, Measured, Result, ShardsScenario } from "./scenarios.ts";
import { median, spread } from "./statistics.ts";
import { type Side, sideBySide } from "./side-by-side.ts";
import { type Look, type Waits, waitsOf, Watch } from "./waits.ts";
import { ONE_STEP } from "./workflows.ts";

const FEW = 1;
const MANY = 4;

/** Runs of one call go to one shard, so it takes many calls to reach all. */
const SHAPES: readonly { suffix: string; shape: LoadShape }[] = [
  { suffix: "", shape: { workflow: ONE_STEP, steps: 1, runsPerCall: 1, callsInFlight: 200 } },
  {
    suffix: "-batched",
    shape: { workflow: ONE_STEP, steps: 1, runsPerCall: 100, callsInFlight: 8 },
  },
];

export async function measureShards(
  rig: Rig,
  { name }: ShardsScenario,
  effort: Effort,
): Promise<Measured> {
  const sides: Side[] = [];
  try {
    for (const shards of [FEW, MANY]) sides.push(await open(rig, shards));
    const results: Result[] = [];
    const load = loadavg()[0]?.toFixed(1);
    const notes = [`raw: the same with ${FEW} shard; load of the machine before: ${load}`];
    const looks: Look[] = [];
    for (const { suffix, shape } of SHAPES) {
      await loadByTurns(sides, shape, effort);
      results.push(rowOf(`${name}${suffix}`, sides));
      notes.push(...sideBySide(`calls of ${shape.runsPerCall}`, sides, shape));
      looks.push(...sides.filter(({ shards }) => shards === MANY).flatMap((side) => side.looks));
    }
    const waits = waitsOf(looks);
    if (waits.commits > 0) results.push(locksRow(`${name}-locks`, waits));
    return { results, notes };
  } finally {
    for (const { watch, served } of sides) {
      await watch?.close();
      await served.stop();
    }
  }
}

async function open(rig: Rig, shards: number): Promise<Side> {
  const served = await rig.serve(shards);
  const isWatched = rig.databaseName === "Postgres";
  const watch = isWatched ? await Watch.open(rig.databaseUrl, served.id, shards) : undefined;
  const { url, database } = rig;
  const loaded = { url, database, ...served };
  return { shards, served, loaded, watch, repetitions: [], looks: [], runs: [] };
}

/** Whoever is first in one turn is last in the next, so that neither has the better place. */
async function loadByTurns(
  sides: readonly Side[],
  shape: LoadShape,
  effort: Effort,
): Promise<void> {
  const beganAt = machineMs();
  const speeds: number[] = [];
  for (const side of sides) {
    Object.assign(side, { repetitions: [], looks: [], runs: [] });
    const first = await runLoad(side.loaded, shape, shape.runsPerCall * shape.callsInFlight);
    if (effort.isAnalyzed) await side.loaded.database.query("analyze");
    const warm = await runLoad(side.loaded, shape, runsFor(shape, first.perSecond, effort));
    speeds.push(warm.perSecond);
  }
  const runs = runsFor(shape, median(speeds), effort);
  for (let number = 0; number < effort.repetitions; number++) {
    if (number > 0 && machineMs() - beganAt > effort.limitMs) break;
    const turn = number % 2 === 0 ? sides : sides.toReversed();
    for (const side of turn) await repeat(side, shape, runs);
  }
}

async function repeat(side: Side, shape: LoadShape, runs: number): Promise<void> {
  const { loaded, watch, shards } = side;
  const load = runLoad(loaded, shape, runs);
  const { result, looks } = await (watch?.during(load) ??
    load.then((of) => ({ result: of, looks: [] })));
  side.repetitions.push(result);
  side.looks.push(...looks);
  const counts = await countByShard(loaded.database, result.runIds);
  for (let shard = 0; shard < shards; shard++) {
    side.runs[shard] = (side.runs[shard] ?? 0) + (counts.get(shard) ?? 0);
  }
}

function rowOf(name: string, sides: readonly Side[]): Result {
  const [few = [], many = []] = sides.map(({ repetitions }) =>
    repetitions.map(({ perSecond }) => perSecond),
  );
  return {
    name,
    unit: "runs/s",
    median: median(many),
    p50: null,
    p99: null,
    spread: spread(many),
    raw: median(few),
    ratio: median(many) / median(few),
  };
}

function locksRow(name: string, { lockedCommits, commits }: Waits): Result {
  return {
    name,
    unit: "commits",
    median: lockedCommits,
    p50: null,
    p99: null,
    spread: null,
    raw: commits,
    ratio: lockedCommits / commits,
  };
}
