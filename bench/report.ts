/**
 * Figures for people and for programs: a table with the marks, and the JSON. Computes nothing.
 */
import { writeFileSync } from "node:fs";
import type { BenchEnvironment } from "./environment.ts";
import {
  LOCKS_MARK,
  type Mark,
  type Measured,
  MEMORY_MARK,
  type Result,
  SCENARIOS,
  WINDOW_MARK,
} from "./scenarios.ts";

const HEAD = ["", "unit", "median", "p50", "p99", "spread", "raw", "ratio", "mark"];

/** The figures of one database; PGlite's are judged by nothing. */
export function describe(title: string, measured: readonly Measured[], hasMarks: boolean): string {
  const rows = measured.flatMap(({ results }) => results).map((result) => rowOf(result, hasMarks));
  const table = [HEAD, ...rows];
  const widths = HEAD.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  const lines = table.map((row) =>
    row
      .map((cell, column) =>
        column < 2 || column === 8
          ? cell.padEnd(widths[column] ?? 0)
          : cell.padStart(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd(),
  );
  return [title, "", ...lines].join("\n");
}

export function describeNotes(name: string, { notes }: Measured): string {
  return notes.map((note) => `  ${name}: ${note}`).join("\n");
}

/** `results` are real Postgres's; PGlite's stand apart under the same names. */
export function writeJson(
  file: string,
  environment: BenchEnvironment,
  results: Result[],
  pglite: Result[],
): void {
  const report = { environment, results: results.map(rounded), pglite: pglite.map(rounded) };
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
}

/** Whether a figure meets its mark; undefined where it has none. */
export function meetsMark({ name, median, ratio }: Result): boolean | undefined {
  const mark = markOf(name);
  if (mark === undefined) return undefined;
  const figure = mark.of === "ratio" ? ratio : median;
  return mark.bound === "at least" ? figure >= mark.value : figure <= mark.value;
}

function markOf(name: string): Mark | undefined {
  if (name === "fairness-memory") return MEMORY_MARK;
  if (name === "fairness-window") return WINDOW_MARK;
  if (name === "shards-locks") return LOCKS_MARK;
  return SCENARIOS.find((scenario) => scenario.name === name)?.mark;
}

function rowOf(result: Result, hasMarks: boolean): string[] {
  const { name, unit, median, p50, p99, spread, raw, ratio } = result;
  const figure = (value: number | null): string =>
    value === null ? "" : unit === "ms" ? value.toFixed(2) : String(Math.round(value));
  const mark = hasMarks ? markOf(name) : undefined;
  const verdict =
    mark === undefined
      ? ""
      : `${mark.of === "ratio" ? "ratio " : ""}${mark.bound === "at least" ? "≥" : "≤"} ${mark.value} ${meetsMark(result) ? "met" : "MISSED"}`;
  return [
    name,
    unit,
    figure(median),
    figure(p50),
    figure(p99),
    spread === null ? "" : `${Math.round(spread * 100)} %`,
    figure(raw),
    ratio.toFixed(2),
    verdict,
  ];
}

/** Three decimals: more would claim what was not measured. */
function rounded(result: Result): Result {
  const round = (value: number): number => Math.round(value * 1_000) / 1_000;
  return {
    ...result,
    median: round(result.median),
    p50: result.p50 === null ? null : round(result.p50),
    p99: result.p99 === null ? null : round(result.p99),
    spread: result.spread === null ? null : round(result.spread),
    raw: round(result.raw),
    ratio: round(result.ratio),
  };
}
