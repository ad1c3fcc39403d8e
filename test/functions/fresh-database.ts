/**
 * A database of a test's own, for what touches more than one tenant: migrations and partitions.
 * Empty until the test migrates it; gone when the file's tests have ended.
 */
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll } from "vitest";
import { startDatabase } from "../../local/database.ts";
import type { TestDatabase } from "../support/databases.ts";

/** An empty database of the same kind; returns its connection string. */
export async function freshDatabase({ name, databaseUrl }: TestDatabase): Promise<string> {
  return name === "Postgres" ? await freshPostgres(databaseUrl) : await freshPglite();
}

async function freshPostgres(serverUrl: string): Promise<string> {
  const name = `skein_${randomUUID().replaceAll("-", "")}`;
  await ask(serverUrl, `create database ${name}`);
  afterAll(() => ask(serverUrl, `drop database ${name} with (force)`).then(() => {}));
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

async function freshPglite(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "skein-functions-"));
  const database = await startDatabase({ directory });
  afterAll(async () => {
    await database.stop();
    rmSync(directory, { recursive: true, force: true });
  });
  return database.databaseUrl;
}

/** One statement on a connection of its own. */
export async function ask<Row = Record<string, unknown>>(
  databaseUrl: string,
  text: string,
  parameters?: unknown[],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    return (await client.query(text, parameters)).rows as Row[];
  } finally {
    await client.end();
  }
}
