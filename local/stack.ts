/**
 * The whole of Skein on this machine: database, migrations, and the Worker in workerd, the same code
 * as in production. Everything listens on 127.0.0.1. What it starts it stops, also when a later part
 * does not start.
 */
import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { migrate } from "../migrations/migrate.ts";
import { buildWorker } from "./build-worker.ts";
import { type Database, startDatabase } from "./database.ts";
import { keptSecret } from "./kept-secret.ts";
import { prettyLog } from "./pretty-log.ts";
import { startWorkerd, type Workerd } from "./workerd.ts";

export interface StackOptions {
  /** Where everything is kept between starts. Default `.skein/stack`. */
  directory?: string;
  /** A Postgres to use instead of PGlite; migrated at start. */
  databaseUrl?: string | undefined;
  /** Of the API. Default any free one. */
  port?: number | undefined;
  /** Opens the admin endpoints. Default a random one kept in the directory. */
  adminSecret?: string | undefined;
  /** Where log lines go. Default "pretty": readable, on standard output. */
  log?: "pretty" | "json" | "none" | ((line: string) => void);
  /** A bundle from `buildWorker`, to start without building. */
  bundle?: string;
  /** More variables for the Worker, such as LOG_LEVEL. */
  variables?: Record<string, string>;
  /** What is being done, for people who wait. */
  tell?: (line: string) => void;
  /** Ends a start that has not come to its end: it then throws, and nothing is left running. */
  signal?: AbortSignal | undefined;
}

export interface Stack {
  /** Of the API: http://127.0.0.1:PORT */
  url: string;
  adminSecret: string;
  /** For `pg` and psql. */
  databaseUrl: string;
  database: Database;
  workerd: Workerd;
  stop(): Promise<void>;
}

const HEALTH_TIMEOUT_MS = 10_000;

export async function startStack({
  directory = join(".skein", "stack"),
  databaseUrl,
  port,
  adminSecret = keptSecret(join(directory, "admin-secret")),
  log = "pretty",
  bundle,
  variables = {},
  tell = () => {},
  signal,
}: StackOptions = {}): Promise<Stack> {
  const write = logWriter(log);
  const stops: (() => Promise<void> | void)[] = [];
  const stop = async (): Promise<void> => {
    for (let next = stops.pop(); next !== undefined; next = stops.pop()) await next();
  };
  const step = async <Result>(what: string, work: () => Promise<Result>): Promise<Result> => {
    try {
      signal?.throwIfAborted();
      tell(what);
      return await work();
    } catch (error) {
      await stop();
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`${what} failed: ${reason}`, { cause: error });
    }
  };

  const database = await step(
    databaseUrl === undefined ? "Starting PGlite" : "Connecting to Postgres",
    () => startDatabase({ directory: join(directory, "database"), databaseUrl, log: write }),
  );
  stops.push(() => database.stop());
  await step("Migrating the database", () =>
    migrate({ databaseUrl: database.databaseUrl, log: tell }),
  );
  const built = bundle ?? (await step("Building the Worker", () => buildWorker()));
  if (bundle === undefined) stops.push(() => rmSync(built, { recursive: true, force: true }));
  const workerd = await step("Starting workerd", () =>
    startWorkerd({
      bundle: built,
      port,
      persist: join(directory, storageName(databaseUrl)),
      variables: {
        ...variables,
        DATABASE_URL: database.databaseUrl,
        NEON_ENDPOINT: database.neon,
        ADMIN_SECRET: adminSecret,
      },
      log: write,
    }),
  );
  stops.push(() => workerd.stop());
  await step("Checking the Worker's health", () => checkHealth(workerd.url));
  const { url } = workerd;
  return { url, adminSecret, databaseUrl: database.databaseUrl, database, workerd, stop };
}

export function logWriter(log: NonNullable<StackOptions["log"]>): (line: string) => void {
  if (typeof log === "function") return log;
  if (log === "none") return () => {};
  const present = log === "pretty" ? prettyLog() : (line: string): string => line;
  return (line) => console.log(present(line));
}

/** What shards remember belongs to one database: with another one they start afresh. */
function storageName(databaseUrl: string | undefined): string {
  if (databaseUrl === undefined) return "workerd";
  const { host, pathname } = new URL(databaseUrl);
  const hash = createHash("sha256").update(host + pathname);
  return `workerd-${hash.digest("hex").slice(0, 12)}`;
}

export async function checkHealth(url: string): Promise<void> {
  const answer = await fetch(`${url}/health`, { signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS) });
  const body = await answer.text();
  if (!answer.ok) throw new Error(`GET /health answered ${answer.status}: ${body}`);
}
