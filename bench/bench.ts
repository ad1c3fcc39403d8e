/**
 * `npm run bench`: how fast Skein is on this machine, beside the raw SQL of the same commits in the
 * same run. Starts everything it needs and stops it again; needs no account and no network.
 */
import { parseArgs } from "node:util";
import { buildWorker } from "../local/build-worker.ts";
import { installPostgres } from "../local/find-postgres.ts";
import { startPostgres } from "../local/postgres.ts";
import { type BenchEnvironment, readEnvironment } from "./environment.ts";
import { measureEvents } from "./events.ts";
import { measureFairness } from "./fairness.ts";
import { measureLatency } from "./latency.ts";
import { RawSql } from "./raw.ts";
import { describe, describeNotes, writeJson } from "./report.ts";
import { type Rig, startRig } from "./rig.ts";
import {
  type Effort,
  FULL,
  type Measured,
  QUICK,
  type Result,
  type Scenario,
  SCENARIOS,
} from "./scenarios.ts";
import { measureShards } from "./shards.ts";
import { measureThroughput } from "./throughput.ts";

const HELP = `Measures Skein on this machine, beside the raw SQL of the same commits.

  npm run bench -- [options]

Options
  --quick         shorter and fewer repetitions, on Postgres only: a minute or so
  --only NAME     only this one; may be repeated: ${SCENARIOS.map(({ name }) => name).join(", ")}
  --pglite        also on PGlite (the default, but not with --quick)
  --no-pglite     not on PGlite
  --no-postgres   not on Postgres
  --analyze       gather the database's statistics after the first load of each throughput, to tell
                  a slow plan from a slow function; otherwise that is autovacuum's, as for a user
  --json FILE     write the figures to a file
  --help          this text

Environment
  DATABASE_URL    a Postgres 15 or newer to use instead of one of its own; it is migrated, and the
                  runs stay in it
`;

interface BenchOptions {
  effort: Effort;
  scenarios: readonly Scenario[];
  hasPostgres: boolean;
  hasPglite: boolean;
  json: string | undefined;
}

const stopping = new AbortController();
/** What runs, to be stopped in reverse order. */
const stops: (() => Promise<void>)[] = [];
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => {
    stopping.abort();
    void stopAll().finally(() => process.exit(130));
  });
}
await run(readOptions());

async function run(options: BenchOptions): Promise<void> {
  const { effort, json } = options;
  const environment = readEnvironment(effort);
  let results: Result[] = [];
  let pglite: Result[] = [];
  let code = 0;
  try {
    tell("Building the Worker");
    const bundle = await buildWorker();
    if (options.hasPostgres) results = await onPostgres(options, bundle, environment);
    if (options.hasPglite) {
      const rig = { databaseUrl: undefined, postgresPid: undefined, bundle };
      pglite = await onDatabase(options, rig, environment);
    }
    if (json !== undefined) writeJson(json, environment, results, pglite);
  } catch (error) {
    if (stopping.signal.aborted) return;
    console.error(error instanceof Error ? error.message : error);
    code = 1;
  }
  await stopAll();
  process.exit(code);
}

async function onPostgres(
  options: BenchOptions,
  bundle: string,
  environment: BenchEnvironment,
): Promise<Result[]> {
  const given = process.env["DATABASE_URL"] || undefined;
  if (given !== undefined) {
    const rig = { databaseUrl: given, postgresPid: undefined, bundle };
    return await onDatabase(options, rig, environment);
  }
  const installed = await installPostgres(tell);
  if ("reason" in installed) {
    throw new Error(`${installed.reason} Or set DATABASE_URL, or measure with --no-postgres.`);
  }
  tell(`Starting Postgres ${installed.found.version}`);
  const postgres = await startPostgres();
  stops.push(() => postgres.stop());
  const rig = { databaseUrl: postgres.url, postgresPid: postgres.pid, bundle };
  const results = await onDatabase(options, rig, environment);
  await stops.pop()?.();
  return results;
}

async function onDatabase(
  { scenarios, effort }: BenchOptions,
  where: { databaseUrl: string | undefined; postgresPid: number | undefined; bundle: string },
  environment: BenchEnvironment,
): Promise<Result[]> {
  const rig = await startRig({ ...where, signal: stopping.signal, tell });
  stops.push(() => rig.stop());
  const isPostgres = rig.databaseName === "Postgres";
  environment[isPostgres ? "postgres" : "pglite"] = rig.databaseVersion;
  const raw = await RawSql.open(rig);
  const all: Measured[] = [];
  for (const scenario of scenarios) {
    stopping.signal.throwIfAborted();
    tell(`${rig.databaseName}: ${scenario.name}`);
    const measured = await measure(rig, raw, scenario, effort);
    tell(describeNotes(scenario.name, measured));
    all.push(measured);
  }
  await raw.close();
  await stops.pop()?.();
  const title = `\n${rig.databaseName} ${rig.databaseVersion}, ${environment.cores} cores, ${effort.name}`;
  tell(`${describe(title, all, isPostgres)}\n`);
  return all.flatMap(({ results }) => results);
}

function measure(rig: Rig, raw: RawSql, scenario: Scenario, effort: Effort): Promise<Measured> {
  switch (scenario.kind) {
    case "throughput":
      return measureThroughput(rig, raw, scenario, effort);
    case "latency":
      return measureLatency(rig, raw, scenario, effort);
    case "fairness":
      return measureFairness(rig, scenario, effort);
    case "events":
      return measureEvents(rig, scenario, effort);
    case "shards":
      return measureShards(rig, scenario, effort);
  }
}

function readOptions(): BenchOptions {
  try {
    const { values } = parseArgs({
      allowNegative: true,
      options: {
        quick: { type: "boolean", default: false },
        only: { type: "string", multiple: true, default: [] },
        pglite: { type: "boolean" },
        postgres: { type: "boolean", default: true },
        analyze: { type: "boolean", default: false },
        json: { type: "string" },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      console.log(HELP);
      process.exit(0);
    }
    const names: string[] = SCENARIOS.map(({ name }) => name);
    const unknown = values.only.find((name) => !names.includes(name));
    if (unknown !== undefined) {
      throw new Error(`There is no measurement "${unknown}": it is one of ${names.join(", ")}.`);
    }
    const isChosen = ({ name }: Scenario): boolean =>
      values.only.length === 0 || values.only.includes(name);
    return {
      effort: { ...(values.quick ? QUICK : FULL), isAnalyzed: values.analyze },
      scenarios: SCENARIOS.filter(isChosen),
      hasPostgres: values.postgres,
      hasPglite: values.pglite ?? (!values.quick || !values.postgres),
      json: values.json,
    };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\nTry --help.`);
    process.exit(2);
  }
}

async function stopAll(): Promise<void> {
  for (let stop = stops.pop(); stop !== undefined; stop = stops.pop()) await stop();
}

function tell(line: string): void {
  console.log(line);
}
