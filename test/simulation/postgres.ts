/**
 * The Postgres behind every simulation of a thread: PGlite in memory with pgmq and the project's own
 * tables and functions, emptied before each seed. Statements run one at a time, as they come. Where SQL asks
 * for the time, it gets the simulation's: what pgmq hides must come back in it, and what is due must be found.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { pgmqInstallation } from "../../migrations/pgmq.ts";
import { outsideOfProcesses } from "./simulated-process.ts";

const MIGRATIONS = join(import.meta.dirname, "../../migrations");

/** Types of Postgres whose text the product's driver hands over as it is. */
const BYTEA = 17;

export interface Rows {
  rows: Record<string, unknown>[];
}

/** The queues, as the migrator creates them. */
const QUEUES = ["commands", "events", "dead"];

const VIRTUAL_CLOCK = `
  create schema simulated;
  create function simulated.now() returns timestamptz language sql stable as $$
    select to_timestamp(current_setting('simulated.now')::double precision / 1000)
  $$;
  set simulated.now = 0;`;

/** Changes a source before it is used; how a mutation gets into SQL. */
export type Rewrite = (path: string, source: string) => string;

export class Postgres {
  readonly #engine: PGlite;
  readonly #tables: string;
  #now = 0;

  private constructor(engine: PGlite, tables: string) {
    this.#engine = engine;
    this.#tables = tables;
  }

  /** A database with partitions for the month around `now`. */
  static async open(now: number, rewrite: Rewrite = (_path, source) => source): Promise<Postgres> {
    const engine = await PGlite.create({ serializers: { [BYTEA]: String } });
    await engine.exec(VIRTUAL_CLOCK);
    await engine.exec(onVirtualClock(pgmqInstallation().sql));
    for (const queue of QUEUES) await engine.query("select pgmq.create($1)", [queue]);
    await engine.exec("create schema v1; set check_function_bodies = off;");
    for (const folder of ["tables", "functions"]) {
      for (const file of readdirSync(join(MIGRATIONS, folder)).toSorted()) {
        if (!file.endsWith(".sql")) continue;
        const source = readFileSync(join(MIGRATIONS, folder, file), "utf8");
        await engine.exec(onVirtualClock(rewrite(`migrations/${folder}/${file}`, source)));
      }
    }
    await engine.query("select v1.ensure_partitions($1)", [new Date(now).toISOString()]);
    // Without the months in which no simulation plays: emptying costs by the number of tables.
    const month = new Date(now).toISOString().slice(0, 7).replace("-", "_");
    const { rows } = await engine.query<{ name: string }>(
      `select format('%I.%I', n.nspname, c.relname) as name
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'v1' and c.relkind = 'r' and (not c.relispartition or c.relname like $1)
         order by 1`,
      [`%${month}`],
    );
    const queues = QUEUES.map((queue) => `pgmq.q_${queue}`);
    return new Postgres(engine, [...rows.map(({ name }) => name), ...queues].join(", "));
  }

  /** Forgets everything, so that a seed finds the same as every other. */
  async empty(): Promise<void> {
    // As a replica: versions may not be truncated otherwise.
    await this.#engine.exec(
      `set session_replication_role = replica; truncate ${this.#tables} restart identity; reset session_replication_role`,
    );
  }

  /** What its clock says from now on, in milliseconds since 1970. */
  async setClock(now: number): Promise<void> {
    if (now === this.#now) return;
    this.#now = now;
    await this.query("select set_config('simulated.now', $1, false)", [String(now)]);
  }

  async query(
    text: string,
    values: unknown[] = [],
    rowMode: "object" | "array" = "object",
  ): Promise<Rows> {
    const { rows } = await outsideOfProcesses(() =>
      this.#engine.query<Record<string, unknown>>(text, values, { rowMode }),
    );
    return { rows };
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }
}

function onVirtualClock(source: string): string {
  return source.replaceAll(/(?<![\w.])(clock_timestamp|now)\(\)/g, "simulated.now()");
}
