/**
 * Prints how it went: the table of figures, and one triage report with its history. Only prints; what is
 * true was decided in `check.ts`.
 */
import type { Run, Task } from "@skein/sdk";
import { grouped, type Terminal, wrap } from "../stage/terminal.ts";
import { wasLost } from "./check.ts";
import type { Figures, Latency } from "./figures.ts";
import type { TriageReport } from "./report.ts";
import { CHUNK } from "./publish.ts";
import { githubTriage } from "./workflows.ts";

const LABEL_COLUMNS = 24;
const VALUE_COLUMNS = 9;

export interface Outcome {
  events: number;
  kinds: number;
  rounds: number;
  sentAgain: number;
  runs: number;
  figures: Figures;
  atRest: Latency;
  underLoad: Latency;
  /** The name of the worker that was killed. */
  killed: string;
}

export function printTable(terminal: Terminal, outcome: Outcome): void {
  const { figures, atRest, underLoad } = outcome;
  const row = (label: string, value: string, note: string): void => {
    const padded = terminal.paint("bold", value.padStart(VALUE_COLUMNS));
    const lines = wrap(note, terminal.columns - LABEL_COLUMNS - VALUE_COLUMNS - 4);
    for (const [index, text] of lines.entries()) {
      const head = index === 0 ? `  ${label.padEnd(LABEL_COLUMNS)}${padded}` : "";
      const gap = " ".repeat(index === 0 ? 2 : LABEL_COLUMNS + VALUE_COLUMNS + 4);
      terminal.line(text === "" ? head : `${head}${gap}${terminal.paint("dim", text)}`);
    }
  };
  const count = (label: string, value: number, note = ""): void => row(label, grouped(value), note);
  const latency = (label: string, { runs, p50Ms, p99Ms }: Latency, pace: string): void => {
    const note = `p50; p99 ${grouped(p99Ms)} ms; ${grouped(runs)} events, ${pace}`;
    row(label, `${grouped(p50Ms)} ms`, note);
  };
  terminal.line();
  count("events published", outcome.events, `of ${outcome.kinds} kinds, ${outcome.rounds} rounds`);
  count("sent a second time", outcome.sentAgain, "recognised by their delivery ids");
  count("runs started", outcome.runs);
  count("runs completed", figures.runsCompleted);
  count("tasks done", figures.tasksCompleted, "each recorded once");
  count("attempts lost", figures.attemptsLost, `in the hands of ${outcome.killed}`);
  count("attempts rescued", figures.tasksRescued, "done by another worker");
  count(
    "effects repeated",
    figures.effectsRepeated,
    "by rescued attempts, with a newer fencing token: at least once",
  );
  latency("start, at rest", atRest, "one at a time");
  latency("start, under load", underLoad, `${CHUNK} at a time`);
  terminal.line();
  terminal.paragraph(
    "·",
    "Start: from just before GitHub sends to the first line of the first handler. It holds the HTTP request, the signature, the match, the commit and the WebSocket, and under load the queue.",
    "dim",
  );
}

/** The run whose report is shown: one that was rescued, if there is one, and the richest of them. */
export function chooseRun(runs: readonly Run[]): Run | undefined {
  const worth = (run: Run): number => {
    const report = reportOf(run);
    if (report === undefined) return -1;
    const rescued = run.tasks.some(wasLost) ? 100 : 0;
    return rescued + 10 * report.duplicates.near.length + report.topics.length;
  };
  return runs
    .filter(({ workflow }) => workflow === githubTriage.name)
    .toSorted((a, b) => worth(b) - worth(a))[0];
}

export function printRun(terminal: Terminal, run: Run): void {
  const report = reportOf(run);
  if (report === undefined) return;
  const { topics, duplicates, effort } = report;
  const field = (label: string, text: string): void => {
    const [first = "", ...rest] = wrap(text, terminal.columns - 18);
    terminal.line(`    ${terminal.paint("dim", label.padEnd(12))}${first}`);
    for (const next of rest) terminal.line(`${" ".repeat(16)}${next}`);
  };
  terminal.line();
  terminal.line(`  ${terminal.paint("bold", "One triage report")} · ${report.delivery}`);
  terminal.line();
  field("about", report.subject);
  field("says", `“${report.headline}” (${report.author})`);
  field("topics", topics.map(topicText).join(", ") || "none");
  field("known", `from ${plural(duplicates.earlier, "earlier delivery", "earlier deliveries")}`);
  field("like it", duplicates.near.map(nearText).join(", ") || "nothing else");
  field("compared", `with ${plural(duplicates.compared, "text", "texts")} seen before`);
  field("effort", `${effort.size}, ${effort.minutes} min (${effort.basis})`);
  field("advice", report.advice);
  terminal.line();
  terminal.line(`    ${terminal.paint("dim", `run ${run.id}`)}`);
  for (const task of run.tasks) {
    terminal.line(`      ${task.step.padEnd(11)} ${attemptsText(terminal, task)}`);
  }
}

function reportOf(run: Run): TriageReport | undefined {
  const output = run.tasks.find(({ step }) => step === "report")?.output;
  // The run's last step returned it; the schema of its own output needs no second check.
  return (output ?? undefined) as unknown as TriageReport | undefined;
}

function topicText({ topic, words }: TriageReport["topics"][number]): string {
  return `${topic} (${words.join(", ")})`;
}

function nearText({ subject, overlap }: TriageReport["duplicates"]["near"][number]): string {
  return `${subject} (${Math.round(overlap * 100)} %)`;
}

function attemptsText(terminal: Terminal, { attempts }: Task): string {
  return attempts
    .map(({ attempt, outcome, worker }) => {
      const text = `attempt ${attempt} ${outcome}${worker === null ? "" : ` (${worker})`}`;
      return outcome === "lost" ? terminal.paint("yellow", text) : text;
    })
    .join(", ");
}

function plural(number: number, one: string, many: string): string {
  return `${grouped(number)} ${number === 1 ? one : many}`;
}
