/**
 * A throw-away real Postgres on a free loopback port, for tests and measurements: with Postgres's
 * default durability, so that what it measures is real. It ends with the program that started it,
 * and its directory is removed by `stop()` when it was made here.
 */
import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Child, startChild } from "./child.ts";
import { findPostgres } from "./find-postgres.ts";
import { freePort } from "./free-port.ts";
import type { PostgresChildOptions, PostgresChildReady } from "./postgres-child.ts";
import { killTree } from "./process-tree.ts";

export interface PostgresOptions {
  /** Kept after `stop()`. Default a new one under the system's temporary directory. */
  directory?: string;
  /** Settings as in postgresql.conf: `{ max_connections: "200" }`. */
  settings?: Record<string, string>;
  log?: (line: string) => void;
}

export interface Postgres {
  /** With user (a superuser) and password. The same after `restart()`. */
  url: string;
  /** Of the server itself. */
  readonly pid: number;
  stop(): Promise<void>;
  /** SIGKILL to the server and every backend, as when a machine dies. */
  kill(): Promise<void>;
  /** Starts it again on the same port and directory; stops it first when it runs. */
  restart(): Promise<void>;
}

const USER = "skein";

/** Throws when no Postgres is installed: see `installPostgres`. */
export async function startPostgres({
  directory,
  settings = {},
  log,
}: PostgresOptions = {}): Promise<Postgres> {
  const found = findPostgres();
  if (found === undefined) {
    throw new Error("There is no Postgres 15 or newer on this machine: install it, or set PATH.");
  }
  const options: PostgresChildOptions = {
    bin: found.bin,
    directory: directory === undefined ? makeDirectory() : resolve(directory),
    port: await freePort(),
    user: USER,
    password: randomBytes(12).toString("base64url"),
    settings,
  };
  const removeDirectory = (): void => {
    if (directory === undefined) rmSync(options.directory, { recursive: true, force: true });
  };
  const start = (): Promise<Child<PostgresChildReady>> =>
    startChild<PostgresChildReady>({
      module: new URL("postgres-child.ts", import.meta.url),
      name: "Postgres",
      options,
      log,
    });
  let child: Child<PostgresChildReady>;
  try {
    child = await start();
  } catch (error) {
    removeDirectory();
    throw error;
  }
  return {
    url: `postgres://${USER}:${options.password}@127.0.0.1:${options.port}/postgres`,
    get pid() {
      return child.ready.pid;
    },
    async stop() {
      await child.stop();
      removeDirectory();
    },
    async kill() {
      // The process above stays to reap the server: Postgres takes a zombie for a running server.
      await killTree(child.ready.pid);
      await child.exited;
    },
    async restart() {
      await child.stop();
      child = await start();
    },
  };
}

function makeDirectory(): string {
  const made = mkdtempSync(join(tmpdir(), "skein-postgres-"));
  chmodSync(made, 0o755); // The server may run as another user.
  return made;
}
