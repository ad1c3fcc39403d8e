/**
 * Throughput: a number of runs as fast as they go, from the first call until the worker has been
 * told that the last result is recorded, and then checked in the database. Skein and the raw SQL
 * take turns, so that both see the same machine.
 */
import { machineMs } from "./clock.ts";
import type { RawSql } from "./raw.ts";
import { type Repetition, runLoad, runsFor } from "./repetition.ts";
import type { Rig } from "./rig.ts";
import type { Effort, Measured, ThroughputScenario } from "./scenarios.ts";
import { median, quantile, spread } from "./statistics.ts";

export async function measureThroughput(
  rig: Rig,
  raw: RawSql,
  scenario: ThroughputScenario,
  effort: Effort,
): Promise<Measured> {
  const beganAt = machineMs();
  // Each call in flight once, before anything is known about the speed.
  const firstRuns = scenario.runsPerCall * scenario.callsInFlight;
  const first = await runLoad(rig, scenario, firstRuns);
  if (effort.isAnalyzed) await rig.database.query("analyze");
  const warm = await runLoad(rig, scenario, runsFor(scenario, first.perSecond, effort));
  const runs = runsFor(scenario, warm.perSecond, effort);
  // Also warms up the raw connections, each of which plans the functions for itself.
  await raw.throughput(scenario.workflow, firstRuns, warm.runsPerCommit);
  const repetitions: Repetition[] = [];
  const rawPerSecond: number[] = [];
  for (let number = 0; number < effort.repetitions; number++) {
    if (number > 0 && machineMs() - beganAt > effort.limitMs) break;
    const repetition = await runLoad(rig, scenario, runs);
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
