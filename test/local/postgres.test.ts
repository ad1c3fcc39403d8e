/** A throw-away Postgres: real durability, and no process left behind. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { expect, test } from "vitest";
import { findPostgres, installPostgres } from "../../local/find-postgres.ts";
import { startPostgres } from "../../local/postgres.ts";
import { descendantsOf, isAlive, waitUntilGone } from "../../local/process-tree.ts";

async function ask(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(url);
  await client.connect();
  const { rows } = await client.query(text);
  await client.end();
  return rows;
}

test("the newest Postgres on the machine is found, and nothing is installed over it", async () => {
  const found = findPostgres();
  expect(Number.parseInt(found?.version ?? "0")).toBeGreaterThanOrEqual(15);
  expect(await installPostgres()).toEqual({ found });
});

test("it starts with default durability, outlives SIGKILL, and leaves nothing behind", async () => {
  const postgres = await startPostgres({ settings: { max_connections: "33" } });
  const first = postgres.pid;
  const pids = [first, ...descendantsOf(first)];
  expect(pids.length).toBeGreaterThan(3);
  const names = ["fsync", "synchronous_commit", "full_page_writes", "max_connections"];
  const settings = await ask(
    postgres.url,
    `select ${names.map((name) => `current_setting('${name}') as ${name}`).join(", ")}`,
  );
  expect(settings).toEqual([
    { fsync: "on", synchronous_commit: "on", full_page_writes: "on", max_connections: "33" },
  ]);
  const wrong = new URL(postgres.url);
  wrong.password = "wrong";
  await expect(ask(wrong.href, "select 1")).rejects.toMatchObject({ code: "28P01" });
  const [{ directory } = {}] = await ask(
    postgres.url,
    "select current_setting('data_directory') as directory",
  );
  await ask(postgres.url, "create table entry as select 7 as id");

  await postgres.kill();
  expect(pids.filter(isAlive)).toEqual([]);
  await postgres.restart();
  expect(postgres.pid).not.toBe(first);
  expect(await ask(postgres.url, "select id from entry")).toEqual([{ id: 7 }]);

  const last = [postgres.pid, ...descendantsOf(postgres.pid)];
  await postgres.stop();
  expect(last.filter(isAlive)).toEqual([]);
  expect(existsSync(String(directory))).toBe(false);
});

test("it ends when the program that started it is killed", async () => {
  const directory = mkdtempSync(join(tmpdir(), "skein-test-"));
  chmodSync(directory, 0o755);
  const program = join(import.meta.dirname, "starts-postgres.ts");
  const parent = fork(program, [directory], { execArgv: [] });
  const [pid] = (await once(parent, "message")) as [number];
  expect(isAlive(pid)).toBe(true);
  parent.kill("SIGKILL");
  await waitUntilGone([pid], 10_000);
  rmSync(directory, { recursive: true });
});
