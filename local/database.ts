/**
 * The local database, seen from the program that starts it: a child process with PGlite on disk (or
 * a way to the Postgres it was given) and the Neon protocol in front. It holds no data itself; after
 * `kill()` a new start on the same directory finds everything that was committed.
 */
import { resolve } from "node:path";
import { type Child, startChild } from "./child.ts";
import type { DatabaseChildOptions, DatabaseChildReady } from "./database-child.ts";

export interface DatabaseOptions {
  /** Where PGlite keeps its data; made when missing. Not touched when `databaseUrl` is given. */
  directory?: string;
  /** A Postgres to use instead of PGlite. */
  databaseUrl?: string | undefined;
  /** Of the Neon protocol. Default any free one. */
  neonPort?: number;
  /** Of PGlite's Postgres wire. Default any free one. */
  postgresPort?: number;
  log?: ((line: string) => void) | undefined;
}

export interface Database {
  /** Host and port of the Neon protocol. */
  neon: string;
  /** For `pg` and psql, with user and password. */
  databaseUrl: string;
  /** Of the process that hosts it; a new one after `restart()`. */
  readonly pid: number;
  stop(): Promise<void>;
  /** SIGKILL, as when a machine dies. */
  kill(): Promise<void>;
  /** Starts it again on the same ports and directory; stops it first when it runs. */
  restart(): Promise<void>;
  /** Resolves when the running process has ended, for whatever reason. */
  readonly exited: Promise<void>;
}

export async function startDatabase({
  directory = ".skein/database",
  databaseUrl,
  neonPort = 0,
  postgresPort = 0,
  log,
}: DatabaseOptions = {}): Promise<Database> {
  const options: DatabaseChildOptions = {
    directory: resolve(directory),
    databaseUrl,
    neonPort,
    postgresPort,
  };
  const start = (): Promise<Child<DatabaseChildReady>> =>
    startChild<DatabaseChildReady>({
      module: new URL("database-child.ts", import.meta.url),
      name: "The local database",
      options,
      log,
    });
  let child = await start();
  const first = child.ready;
  options.neonPort = first.neonPort;
  if (databaseUrl === undefined) options.postgresPort = Number(new URL(first.databaseUrl).port);
  return {
    neon: `127.0.0.1:${first.neonPort}`,
    databaseUrl: first.databaseUrl,
    get pid() {
      return child.pid;
    },
    get exited() {
      return child.exited;
    },
    stop: () => child.stop(),
    kill: () => child.kill(),
    async restart() {
      await child.stop();
      child = await start();
    },
  };
}
