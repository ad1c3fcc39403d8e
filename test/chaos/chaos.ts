/**
 * `npm run chaos`: kills, stops and drops every part of Skein under load, one kind after another,
 * and then asks two witnesses whether anything was lost or happened twice. Exits 0 only when every
 * promise was kept.
 */
import { randomBytes } from "node:crypto";
import { createWriteStream } from "node:fs";
import { parseArgs } from "node:util";
import { split } from "../../bench/statistics.ts";
import { installPostgres } from "../../local/find-postgres.ts";
import { checkLeftovers, isKept } from "./checker.ts";
import { type Kind, KINDS } from "./kinds.ts";
import { play } from "./play.ts";
import { SeededRandom } from "./random.ts";
import { type ChaosReport, describeKinds, describeReport, writeJson } from "./report.ts";
import { ChaosWorld } from "./world.ts";

const DEFAULT_RUNS = 10_000;
const MAX_RUNS = 1_000_000; // Everything is kept in memory, to be checked at the end.
/** Fewer would be over before everything is thrown. */
const MIN_RUNS_PER_KIND = 100;
const EXIT_INTERRUPTED = 130;

const HELP = `Kills, stops and drops every part of Skein under load, and checks that nothing was
lost and nothing happened twice.

  npm run chaos -- [options]

Options
  --runs N        runs in all, divided among the kinds (default ${DEFAULT_RUNS})
  --seed TEXT     decides who is hit, how long steps work, and what "all" throws; a run
                  prints its own
  --only KIND     only this kind; may be repeated
  --json FILE     write the outcome to a file
  --log FILE      write what Skein logs to a file
  --help          this text

Kinds
${describeKinds()}
`;

interface ChaosOptions {
  runs: number;
  seed: string;
  kinds: readonly Kind[];
  json: string | undefined;
  log: string | undefined;
}

const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    if (stopping.signal.aborted) process.exit(EXIT_INTERRUPTED);
    stopping.abort();
  });
}
process.exit(await run(readOptions()));

async function run(options: ChaosOptions): Promise<number> {
  const { seed, json } = options;
  const installed = await installPostgres();
  if ("reason" in installed) {
    console.error(`Chaos needs a real Postgres. ${installed.reason}`);
    return 1;
  }
  const report: ChaosReport = { seed, date: new Date().toISOString(), outcomes: [], leftovers: [] };
  let world: ChaosWorld | undefined;
  try {
    const { signal } = stopping;
    const log = logTo(options.log);
    world = await ChaosWorld.start({ tell: console.log, signal, ...(log && { log }) });
    await playAll(world, options, report);
    console.log(`\n${describeReport(report)}`);
    if (json !== undefined) writeJson(json, report);
  } catch (error) {
    if (!stopping.signal.aborted) console.error(error);
    return stopping.signal.aborted ? EXIT_INTERRUPTED : 1;
  } finally {
    await world?.stop();
  }
  const isWhole = report.leftovers.length === 0;
  return isWhole && report.outcomes.every(({ verdict }) => isKept(verdict)) ? 0 : 1;
}

async function playAll(
  world: ChaosWorld,
  { runs, seed, kinds }: ChaosOptions,
  report: ChaosReport,
): Promise<void> {
  const random = new SeededRandom(seed);
  const shares = split(Array.from({ length: runs }), kinds.length);
  for (const [index, kind] of kinds.entries()) {
    const share = shares[index]?.length ?? 0;
    console.log(`${kind.name}: ${share} runs`);
    const outcome = await play(world, kind, share, random, stopping.signal);
    report.outcomes.push(outcome);
    console.log(
      `  ${isKept(outcome.verdict) ? "kept" : "BROKEN"}, ${Math.round(outcome.elapsedMs / 1_000)} s`,
    );
  }
  const left = await world.read((history) => history.leftoversWhenQuiet());
  report.leftovers.push(...checkLeftovers(left));
}

function logTo(file: string | undefined): ((line: string) => void) | undefined {
  if (file === undefined) return undefined;
  const stream = createWriteStream(file);
  return (line) => stream.write(`${line}\n`);
}

function readOptions(): ChaosOptions {
  try {
    const { values } = parseArgs({
      options: {
        runs: { type: "string", default: String(DEFAULT_RUNS) },
        seed: { type: "string", default: randomBytes(4).toString("hex") },
        only: { type: "string", multiple: true, default: [] },
        json: { type: "string" },
        log: { type: "string" },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      console.log(HELP);
      process.exit(0);
    }
    const { only, seed, json, log } = values;
    const unknown = only.find((name) => !KINDS.some((kind) => kind.name === name));
    if (unknown !== undefined) {
      const names = KINDS.map(({ name }) => name).join(", ");
      throw new Error(`There is no kind "${unknown}": it is one of ${names}.`);
    }
    const kinds = KINDS.filter(({ name }) => only.length === 0 || only.includes(name));
    const runs = Number(values.runs);
    const fewest = MIN_RUNS_PER_KIND * kinds.length;
    if (!Number.isInteger(runs) || runs < fewest || runs > MAX_RUNS) {
      throw new Error(
        `--runs must be a number from ${fewest} to ${MAX_RUNS}, not "${values.runs}".`,
      );
    }
    return { runs, seed, kinds, json, log };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\nTry --help.`);
    process.exit(2);
  }
}
