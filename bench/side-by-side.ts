/**
 * What one load did to several numbers of shards, a line a figure and a column a number. Computes no
 * more than medians and shares.
 */
import type { Loaded, Repetition } from "./repetition.ts";
import type { Served } from "./rig.ts";
import type { LoadShape } from "./scenarios.ts";
import { median, quantile, sum } from "./statistics.ts";
import { type Look, type Waits, waitsOf, type Watch } from "./waits.ts";

/** What commits do less often than this is not shown. */
const SMALLEST_SHARE = 0.02;

/** A tenant and what was measured of it with one load. */
export interface Side {
  shards: number;
  served: Served;
  loaded: Loaded;
  /** None where the database has one connection for all. */
  watch: Watch | undefined;
  repetitions: Repetition[];
  looks: Look[];
  /** Runs of each shard, all repetitions together. */
  runs: number[];
}

type Line = [label: string, ...figures: string[]];

export function sideBySide(title: string, sides: readonly Side[], shape: LoadShape): string[] {
  const lines: Line[] = [
    [title, ...sides.map(({ shards }) => `${shards} shard${shards === 1 ? "" : "s"}`)],
    ...speedLines(sides, shape),
    ...cpuLines(sides),
    ...(sides.every(({ watch }) => watch !== undefined) ? waitLines(sides) : []),
  ];
  const width = (column: number): number =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0));
  return lines.map((line) =>
    line
      .map((cell, column) =>
        column === 0 ? cell.padEnd(width(column)) : cell.padStart(width(column) + 2),
      )
      .join(""),
  );
}

function speedLines(sides: readonly Side[], { steps }: LoadShape): Line[] {
  const batch = ({ perSecond, commitsPerSecond }: Repetition): number =>
    (perSecond * (1 + steps)) / commitsPerSecond;
  const callMs = (q: number) => (side: Side) =>
    quantile(
      side.repetitions.flatMap((repetition) => repetition.callMs),
      q,
    ).toFixed(0);
  return [
    lineOf(
      "runs/s",
      sides,
      medianOf(({ perSecond }) => perSecond),
    ),
    lineOf(
      "commits/s",
      sides,
      medianOf(({ commitsPerSecond }) => commitsPerSecond),
    ),
    lineOf("starts and results a commit", sides, medianOf(batch)),
    lineOf("calls, ms p50", sides, callMs(0.5)),
    lineOf("calls, ms p99", sides, callMs(0.99)),
    lineOf("% of the runs that a shard has, least", sides, ({ runs }) =>
      percent(Math.min(...runs) / sum(runs)),
    ),
    lineOf("% of the runs that a shard has, most", sides, ({ runs }) =>
      percent(Math.max(...runs) / sum(runs)),
    ),
  ];
}

function cpuLines(sides: readonly Side[]): Line[] {
  const names = Object.keys(sides[0]?.repetitions[0]?.cpu ?? {});
  const busy = ({ cpu }: Repetition): number => sum(Object.values(cpu));
  return [
    ...names.map((name) =>
      lineOf(
        `µs of a core a run: ${name}`,
        sides,
        medianOf(({ cpu, perSecond }) => ((cpu[name] ?? 0) * 1e6) / perSecond),
      ),
    ),
    lineOf(
      "µs of a core a run: all",
      sides,
      medianOf((each) => (busy(each) * 1e6) / each.perSecond),
    ),
    lineOf(
      "% of a core at work: all",
      sides,
      medianOf((each) => busy(each) * 100),
    ),
  ];
}

function waitLines(sides: readonly Side[]): Line[] {
  const all = sides.map(({ looks }) => waitsOf(looks));
  const line = (label: string, figure: (waits: Waits) => string | number): Line => [
    label,
    ...all.map((waits) => String(figure(waits))),
  ];
  const shares = new Set(
    all.flatMap(({ doing }) =>
      [...doing].filter(([, share]) => share >= SMALLEST_SHARE).map(([what]) => what),
    ),
  );
  const locks = new Set(all.flatMap((waits) => [...waits.locks.keys()]));
  return [
    line("commits at once in Postgres, mean", ({ meanAtOnce }) => meanAtOnce.toFixed(1)),
    line("commits at once in Postgres, most", ({ mostAtOnce }) => mostAtOnce),
    ...[...shares].map((what) =>
      line(`% of commits seen: ${what}`, ({ doing }) => percent(doing.get(what) ?? 0)),
    ),
    line("looks", ({ looks }) => looks),
    line("commits seen", ({ commits }) => commits),
    line("of these waiting for a lock", ({ lockedCommits }) => lockedCommits),
    line("others waiting for a lock", ({ lockedOthers }) => lockedOthers),
    ...[...locks].map((lock) =>
      line(`waiting for: ${lock}`, (waits) => waits.locks.get(lock) ?? 0),
    ),
  ];
}

function lineOf(label: string, sides: readonly Side[], figure: (side: Side) => string): Line {
  return [label, ...sides.map(figure)];
}

function medianOf(part: (repetition: Repetition) => number): (side: Side) => string {
  return ({ repetitions }) => {
    const figure = median(repetitions.map(part));
    return figure.toFixed(figure < 10 ? 1 : 0);
  };
}

function percent(share: number): string {
  return (share * 100).toFixed(0);
}
