/**
 * What was thrown and what came back, for people and for programs: an aligned table, the breaches
 * in sentences, and the JSON. Computes nothing that the checker has not said.
 */
import { writeFileSync } from "node:fs";
import { quantile, sum } from "../../bench/statistics.ts";
import type { Verdict } from "./checker.ts";
import { KINDS } from "./kinds.ts";
import type { Outcome } from "./play.ts";

export interface ChaosReport {
  seed: string;
  date: string;
  outcomes: Outcome[];
  /** What shards left behind at the end. */
  leftovers: string[];
}

const HEAD = [
  "kind",
  "runs",
  "attempts",
  "rescued",
  "re-sent",
  "stale",
  "recovery p50",
  "max",
  "lost",
  "double",
  "stuck",
  "other",
  "thrown",
];
const LAST = HEAD.length - 1;

const LEGEND = `
Rescued: attempts lost with their worker or on the way to it. Re-sent: results that a worker sent
again. Stale: attempts that a worker was told are no longer its own. Recovery, in seconds from the
throw: until a lost task runs elsewhere (workers), until a worker is welcomed again (deploy), else
until a run that began after it has completed. Other: wrong, crowded or late.`;

/** Breaches told in full for each promise; there may be thousands. */
const MAX_TOLD = 10;

export function describeReport({ seed, outcomes, leftovers }: ChaosReport): string {
  const left = leftovers.map((breach) => `BROKEN  at the end: ${breach}`);
  return [describeOutcomes(outcomes), ...left, "", `Seed ${seed}`].join("\n");
}

export function describeOutcomes(outcomes: readonly Outcome[]): string {
  const breaches = outcomes.flatMap(({ kind, verdict }) => breachesOf(kind, verdict));
  const rows = outcomes.map(rowOf);
  const totals = HEAD.map((_, column) => totalOf(column, rows));
  return [aligned([HEAD, ...rows, totals]), LEGEND, ...breaches].join("\n");
}

/** For `--help`. */
export function describeKinds(): string {
  const width = Math.max(...KINDS.map(({ name }) => name.length));
  return KINDS.map(({ name, promise }) => `  ${name.padEnd(width)}  ${promise}`).join("\n");
}

export function writeJson(file: string, report: ChaosReport): void {
  const outcomes = report.outcomes.map(({ recoveries, thrown, ...outcome }) => ({
    ...outcome,
    thrown: Object.fromEntries(countThrown(thrown)),
    recoveryMs: recoveryOf(recoveries) ?? null,
  }));
  writeFileSync(file, `${JSON.stringify({ ...report, outcomes }, null, 2)}\n`);
}

function rowOf({ thrown, recoveries, verdict, ...outcome }: Outcome): string[] {
  const { lost, double, stuck, wrong, crowded, late } = verdict;
  const recovery = recoveryOf(recoveries);
  const seconds = (ms: number | undefined): string =>
    ms === undefined ? "" : (ms / 1_000).toFixed(1);
  return [
    outcome.kind,
    ...[outcome.runs, outcome.attempts, outcome.rescues, outcome.resent, outcome.stale].map(String),
    seconds(recovery?.p50),
    seconds(recovery?.max),
    ...[lost, double, stuck].map(({ length }) => String(length)),
    String(wrong.length + crowded.length + late.length),
    [...countThrown(thrown)].map(([what, count]) => `${count} × ${what}`).join(", "),
  ];
}

function totalOf(column: number, rows: readonly string[][]): string {
  if (column === 0) return "total";
  const isSum = HEAD[column] !== "recovery p50" && HEAD[column] !== "max" && column !== LAST;
  return isSum ? String(sum(rows.map((row) => Number(row[column])))) : "";
}

function aligned(table: readonly string[][]): string {
  const widths = HEAD.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  const lines = table.map((row) =>
    row
      .map((cell, column) => {
        const isText = column === 0 || column === LAST;
        return isText ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
      })
      .join("  ")
      .trimEnd(),
  );
  return lines.join("\n");
}

function recoveryOf(recoveries: Outcome["recoveries"]): { p50: number; max: number } | undefined {
  const values = recoveries.map(({ ms }) => ms);
  if (values.length === 0) return undefined;
  return { p50: quantile(values, 0.5), max: Math.max(...values) };
}

function countThrown(thrown: Outcome["thrown"]): Map<string, number> {
  return new Map(
    [...Map.groupBy(thrown, ({ what }) => what)].map(([what, all]) => [what, all.length]),
  );
}

function breachesOf(kind: string, verdict: Verdict): string[] {
  return Object.entries(verdict).flatMap(([promise, breaches]: [string, string[]]) => {
    const told = breaches
      .slice(0, MAX_TOLD)
      .map((breach) => `BROKEN  ${kind}: ${promise}: ${breach}`);
    const more = breaches.length - told.length;
    return more > 0 ? [...told, `        and ${more} more`] : told;
  });
}
