/**
 * The databases of a test run: a real Postgres, installed if need be, and PGlite, each migrated and
 * behind the Neon protocol. Tests share them and keep apart by their tenants. Without a real
 * Postgres the reason is printed, and what needs one is skipped.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

declare module "vitest" {
  interface ProvidedContext {
    /** Every database there is: the SQL must do the same on each. */
    databases: TestDatabase[];
    /** The real Postgres, or PGlite where there is none. */
    main: TestDatabase;
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
    const [main] = databases;
    if (main === undefined) throw new Error("No test database could be started");
    provide("databases", databases);
    provide("main", main);
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
  const postgres = await startPostgres();
  stops.push(() => postgres.stop());
  return postgres.url;
}
