/** The process that hosts PGlite: one for a directory, and nothing committed is ever lost. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type Database, startDatabase } from "../../local/database.ts";
import { lockDirectory } from "../../local/directory-lock.ts";
import { isAlive, startTimeOf, waitUntilGone } from "../../local/process-tree.ts";

const directories: string[] = [];
const running: Database[] = [];
let template: string;

/** Making a database takes seconds, opening a copy of one does not. */
beforeAll(async () => {
  template = mkdtempSync(join(tmpdir(), "skein-test-"));
  await (await startDatabase({ directory: template })).stop();
}, 30_000);

afterAll(() => rmSync(template, { recursive: true, force: true }));

afterEach(async () => {
  await Promise.all(running.splice(0).map((database) => database.kill()));
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "skein-test-"));
  directories.push(directory);
  cpSync(template, directory, { recursive: true });
  return directory;
}

async function start(directory: string): Promise<Database> {
  const database = await startDatabase({ directory });
  running.push(database);
  return database;
}

async function ask(database: Database, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(database.databaseUrl);
  await client.connect();
  const { rows } = await client.query(text);
  await client.end();
  return rows;
}

test("data outlives kill -9, and the lock of the killed process is taken over", async () => {
  const directory = newDirectory();
  const database = await start(directory);
  const first = { pid: database.pid, url: database.databaseUrl, neon: database.neon };
  await ask(database, "create extension pgmq");
  await ask(database, "select pgmq.create('commands')");
  await ask(database, `select pgmq.send('commands', '{"n": 1}')`);
  await ask(database, "create table entry as select generate_series(1, 1000) as id");
  await database.kill();
  expect(isAlive(first.pid)).toBe(false);
  expect(readdirSync(directory).some((name) => name.startsWith("lock."))).toBe(true);
  expect(statSync(join(directory, "password")).mode & 0o777).toBe(0o600);
  await database.restart();
  expect(database.pid).not.toBe(first.pid);
  expect(database).toMatchObject({ neon: first.neon, databaseUrl: first.url });
  expect(await ask(database, "select count(*)::int as n from entry")).toEqual([{ n: 1000 }]);
  const [message] = await ask(database, "select message from pgmq.read('commands', 1, 1)");
  expect(message).toEqual({ message: { n: 1 } });
});

test("a second start says which process holds which directory, and what to do", async () => {
  const directory = newDirectory();
  const first = await start(directory);
  const second = start(directory);
  await expect(second).rejects.toThrow(
    `The database in ${directory} is in use by process ${first.pid}. ` +
      `Stop that one (kill ${first.pid}), or give another directory with --directory.`,
  );
  await ask(first, "select 1");
  await first.stop();
  expect(readdirSync(directory).filter((name) => name.startsWith("lock."))).toEqual([]);
});

test("of two that start in one directory at once at most one gets it", async () => {
  const directory = newDirectory();
  const results = await Promise.allSettled([start(directory), start(directory)]);
  const refusals = results.filter((result) => result.status === "rejected");
  expect(running.length).toBeLessThanOrEqual(1);
  for (const { reason } of refusals) expect(String(reason)).toContain("is in use by process");
});

test("a lock whose pid belongs to another process by now holds nobody up", async () => {
  const directory = mkdtempSync(join(tmpdir(), "skein-test-"));
  directories.push(directory);
  // Our own pid lives, but did not start at that time.
  const startedAt = Number(startTimeOf(process.pid));
  writeFileSync(join(directory, `lock.${process.pid}.${startedAt + 1}`), "");
  const lock = await lockDirectory(directory);
  expect(readdirSync(directory)).toEqual([`lock.${process.pid}.${startedAt}`]);
  lock.release();
  expect(readdirSync(directory)).toEqual([]);
});

test("the database ends when the program that started it is killed", async () => {
  const directory = newDirectory();
  const parent = fork(join(import.meta.dirname, "starts-database.ts"), [directory], {
    execArgv: [],
  });
  const [pid] = (await once(parent, "message")) as [number];
  expect(isAlive(pid)).toBe(true);
  parent.kill("SIGKILL");
  await waitUntilGone([pid], 10_000);
});

test("a Postgres that does not answer is named, without its password", async () => {
  const databaseUrl = "postgres://someone:secret@127.0.0.1:1/nowhere";
  const error: unknown = await startDatabase({ databaseUrl }).catch((reason: unknown) => reason);
  expect(String(error)).toContain("Postgres at 127.0.0.1:1 (DATABASE_URL) does not let us in");
  expect(String(error)).not.toContain("secret");
});
