/**
 * The databases of a test run: a real Postgres, installed if need be, and PGlite, each migrated and
 * behind the Neon protocol. Tests share them and keep apart by their tenants. Without a real
 * Postgres the reason is printed, and what needs one is skipped.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import type { TestProject } from "vitest/node";
import { startDatabase } from "../../local/database.ts";
import { installPostgres } from "../../local/find-postgres.ts";
import { startPostgres } from "../../local/postgres.ts";
import { migrate } from "../../migrations/migrate.ts";

export interface TestDatabase {
  name: "Postgres" | "PGlite";
  databaseUrl: string;
  /** Host and port of the Neon protocol in front of it. */
  neon: string;
}

/** A database as the product uses it: by a login that may do what the application may, no more. */
export interface ApplicationDatabase extends TestDatabase {
  /** For what tests do behind the product's back. */
  ownerUrl: string;
}

declare module "vitest" {
  interface ProvidedContext {
    /** Every database there is, as its owner: the SQL must do the same on each. */
    databases: TestDatabase[];
    /** The real Postgres, or PGlite where there is none: that one knows no logins but the owner. */
    main: ApplicationDatabase;
  }
}

export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const directory = mkdtempSync(join(tmpdir(), "skein-test-"));
  const stops: (() => Promise<void>)[] = [];
  const teardown = async (): Promise<void> => {
    for (const stop of stops.toReversed()) await stop();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const databases: TestDatabase[] = [];
    const postgresUrl = await postgresFor(stops);
    for (const [name, url] of [
      ["Postgres", postgresUrl],
      ["PGlite", undefined],
    ] as const) {
      if (name === "Postgres" && url === undefined) continue;
      const database = await startDatabase({ directory: join(directory, name), databaseUrl: url });
      stops.push(() => database.stop());
      await migrate({ databaseUrl: database.databaseUrl });
      databases.push({ name, databaseUrl: database.databaseUrl, neon: database.neon });
    }
    const [owned] = databases;
    if (owned === undefined) throw new Error("No test database could be started");
    provide("databases", databases);
    provide("main", { ...(await asApplication(owned, stops)), ownerUrl: owned.databaseUrl });
    return teardown;
  } catch (error) {
    await teardown();
    throw error;
  }
}

async function postgresFor(stops: (() => Promise<void>)[]): Promise<string | undefined> {
  const installed = await installPostgres();
  if ("reason" in installed) {
    console.warn(`Tests that need a real Postgres are skipped. ${installed.reason}`);
    return undefined;
  }
  // Each shard at work has a connection of its own, and tests make many.
  const postgres = await startPostgres();
  stops.push(() => postgres.stop());
  return postgres.url;
}

/** The same database by a login of the application's, as docs/operating.md makes it. */
async function asApplication(
  owned: TestDatabase,
  stops: (() => Promise<void>)[],
): Promise<TestDatabase> {
  if (owned.name === "PGlite") return owned;
  const login = { username: "skein_login", password: randomBytes(12).toString("hex") };
  const client = new pg.Client({ connectionString: owned.databaseUrl });
  await client.connect();
  await client.query(
    `create role ${login.username} login password '${login.password}' in role skein_application`,
  );
  await client.end();
  const { href } = Object.assign(new URL(owned.databaseUrl), login);
  const database = await startDatabase({ databaseUrl: href });
  stops.push(() => database.stop());
  return { name: owned.name, databaseUrl: href, neon: database.neon };
}
