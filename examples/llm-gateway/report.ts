/** Prints how it went: the table, the chart, and the promises. What is true was decided in `check.ts`. */
import { type Check, printChecks } from "../stage/promises.ts";
import { grouped, type Terminal } from "../stage/terminal.ts";
import type { Books } from "./books.ts";
import { drawChart, type Layer } from "./chart.ts";
import { budgetUsed, countCustomers, steadyState, type Weighted } from "./figures.ts";

const MARKS = ["▒", "▓", "█"];

/** Some two seconds each: in less, a single long answer makes a tooth. */
const CHART_COLUMNS = 48;

const COLUMNS = [
  ["customer", 16],
  ["weight", 8],
  ["requests", 10],
  ["tokens", 10],
  ["share", 9],
  ["wanted", 9],
  ["median wait", 13],
] as const;

export function printReport(
  terminal: Terminal,
  { books, customers }: { books: Books; customers: readonly Weighted[] },
  checks: readonly Check[],
): void {
  printTable(terminal, books, customers);
  printChart(terminal, books, customers);
  printChecks(terminal, checks);
}

function printTable(terminal: Terminal, books: Books, customers: readonly Weighted[]): void {
  const { fromMs, toMs } = steadyState(books, customers);
  terminal.line();
  terminal.line(terminal.paint("dim", row(COLUMNS.map(([name]) => name))));
  for (const each of countCustomers(books, customers)) {
    terminal.line(
      row([
        each.name,
        String(each.weight),
        grouped(each.requests),
        grouped(each.tokens),
        percent(each.share),
        percent(each.wantedShare),
        `${(each.medianWaitMs / 1_000).toFixed(1)} s`,
      ]),
    );
  }
  terminal.line();
  terminal.paragraph(
    "·",
    `By the provider's books, in the ${Math.round((toMs - fromMs) / 1_000)} s in which all had work and what was saved up at the beginning was spent: ${percent(budgetUsed(books, customers))} of the ${grouped(books.limits.tokens.perMinute)} tokens a minute. All tasks were there from the beginning: the wait is since then.`,
    "dim",
  );
}

function printChart(terminal: Terminal, books: Books, customers: readonly Weighted[]): void {
  const layers = customers.map(({ name }, index): Layer => ({ name, mark: MARKS[index] ?? "?" }));
  const legend = layers.map(({ name, mark }) => `${mark} ${name}`).join("   ");
  terminal.line();
  terminal.line(`  Tokens a second   ${legend}`);
  for (const line of drawChart(books, layers, CHART_COLUMNS)) terminal.line(line);
}

function row(cells: readonly string[]): string {
  const padded = COLUMNS.map(([, width], index) => {
    const cell = cells[index] ?? "";
    return index === 0 ? cell.padEnd(width) : cell.padStart(width);
  });
  return `  ${padded.join("")}`;
}

function percent(part: number): string {
  return `${(part * 100).toFixed(1)} %`;
}
