/**
 * Brings a database to this version: pgmq, then the numbered tables once each, then the functions as
 * they stand in `functions/`, then what the application's role may do, then partitions for the months
 * ahead. Safe to run twice, and from two places at once. Needs a direct connection: a transaction
 * pooler loses the lock that guards it.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { drizzle } from "drizzle-orm/node-postgres";
import { migrate as applyTables } from "drizzle-orm/node-postgres/migrator";
import pg from "pg";
import { applyApplicationRole } from "./application-role.ts";
import { pgmqInstallation } from "./pgmq.ts";

const HERE = import.meta.dirname;
const MIGRATION_LOCK = 7_305_544_318; // any number, the same for every migrator
const OLDEST_POSTGRES = 150_000;

/** Of pgmq. What each is for: docs/messages.md. */
const QUEUES = ["commands", "events", "dead"];

export interface MigrateOptions {
  /** A direct connection string: postgres://user:password@host/database */
  databaseUrl: string;
  log?: (line: string) => void;
}

/** Migrates the database; throws with what to do when it can't. */
export async function migrate({ databaseUrl, log = () => {} }: MigrateOptions): Promise<void> {
  refusePooledUrl(databaseUrl);
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await refuseOldPostgres(client);
    await client.query("select pg_advisory_lock($1)", [MIGRATION_LOCK]);
    await client.query("set client_min_messages = warning");
    await installPgmq(client, log);
    await createQueues(client, log);
    await applyTables(drizzle(client), {
      migrationsFolder: join(HERE, "tables"),
      migrationsSchema: "v1",
      migrationsTable: "migration",
    });
    await applyFunctions(client, log);
    await applyApplicationRole(client, log);
    const made = await client.query("select v1.ensure_partitions() as made");
    log(`partitions made: ${made.rows[0].made}`);
  } finally {
    await client.end();
  }
}

function refusePooledUrl(databaseUrl: string): void {
  const host = new URL(databaseUrl).hostname;
  if (!host.includes("-pooler")) return;
  throw new Error(
    `${host} is Neon's pooled address. Migrations need the direct one: the same without "-pooler".`,
  );
}

async function refuseOldPostgres(client: pg.Client): Promise<void> {
  const { rows } = await client.query("show server_version_num");
  if (Number(rows[0].server_version_num) >= OLDEST_POSTGRES) return;
  throw new Error(`Skein needs Postgres 15 or newer; this is ${rows[0].server_version_num}.`);
}

async function installPgmq(client: pg.Client, log: (line: string) => void): Promise<void> {
  const { rows } = await client.query(
    `select to_regnamespace('pgmq') is not null as present,
            exists (select from pg_available_extensions where name = 'pgmq') as available`,
  );
  if (rows[0].present) return;
  const { version, sql } = pgmqInstallation();
  await client.query(rows[0].available ? "create extension pgmq" : sql);
  log(rows[0].available ? "pgmq: extension created" : `pgmq ${version}: installed as SQL`);
}

async function createQueues(client: pg.Client, log: (line: string) => void): Promise<void> {
  const { rows } = await client.query(
    `select queue, pgmq.create(queue) from unnest($1::text[]) queue
       where queue not in (select queue_name from pgmq.meta)`,
    [QUEUES],
  );
  if (rows.length > 0) log(`queues created: ${rows.map(({ queue }) => queue).join(", ")}`);
}

/** Applies the functions whose source has changed, all in one transaction. */
async function applyFunctions(client: pg.Client, log: (line: string) => void): Promise<void> {
  await client.query("begin");
  try {
    await client.query(
      "create table if not exists v1.applied_function (name text primary key, checksum text not null)",
    );
    const applied = await client.query("select name, checksum from v1.applied_function");
    const known = new Map(applied.rows.map((row) => [row.name, row.checksum]));
    // SQL functions are checked when they are made, and may name one that comes later.
    await client.query("set local check_function_bodies = off");
    let changed = 0;
    for (const file of readdirSync(join(HERE, "functions")).toSorted()) {
      const source = readFileSync(join(HERE, "functions", file), "utf8");
      const checksum = createHash("sha256").update(source).digest("hex");
      if (known.get(file) === checksum) continue;
      await client.query(source);
      await client.query(
        `insert into v1.applied_function (name, checksum) values ($1, $2)
           on conflict (name) do update set checksum = excluded.checksum`,
        [file, checksum],
      );
      changed++;
    }
    await client.query("commit");
    log(`functions changed: ${changed}`);
  } catch (error) {
    await client.query("rollback");
    throw error;
  }
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { help: { type: "boolean", short: "h" } } });
  const databaseUrl = process.env["DATABASE_URL"];
  if (values.help || !databaseUrl) {
    console.log(`Usage: DATABASE_URL=postgres://user:password@host/database npm run migrate

Brings the database to this version of Skein: tables, functions, partitions, pgmq.
Safe to run again. On Neon give the direct address, without "-pooler".`);
    process.exit(values.help ? 0 : 2);
  }
  await migrate({ databaseUrl, log: console.log });
  console.log("The database is up to date.");
}
