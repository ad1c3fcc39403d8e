/**
 * `npm run dev`: the stack with reload. A change of the Worker's source builds it and starts workerd
 * again on the same port; a change of the SQL migrates again; the hello example runs beside it.
 */
import { rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { migrate } from "../migrations/migrate.ts";
import { buildWorker } from "./build-worker.ts";
import { readCommand, runCommand, tellReady } from "./command.ts";
import { ExampleWorker } from "./example-worker.ts";
import { localToken } from "./local-tenant.ts";
import { checkHealth, type Stack, startStack } from "./stack.ts";
import { watchFolders } from "./watch.ts";

const HELP = `Starts Skein on this machine and starts it again when its source changes:
the Worker is built again, changed SQL is applied, and examples/hello/worker.ts runs beside it.

  npm run dev -- [options]`;

const ROOT = resolve(import.meta.dirname, "..");
const WORKER_FOLDERS = [
  "workers",
  "durable-objects",
  "database",
  "expressions",
  "protocol",
  "telemetry",
];
const SQL_FOLDER = "migrations";
const EXAMPLE_FOLDERS = ["examples/hello", "sdk"];

const { port, directory, databaseUrl, log } = readCommand(HELP);
let bundle: string | undefined;

async function reloadWorker(stack: Stack): Promise<void> {
  const next = await buildWorker();
  await stack.workerd.restart(next);
  removeBundle();
  bundle = next;
  await checkHealth(stack.url);
}

function removeBundle(): void {
  if (bundle !== undefined) rmSync(bundle, { recursive: true, force: true });
}

/** What can't be built or applied is told, and the last good state goes on. */
async function attempt(what: string, work: () => Promise<void>): Promise<void> {
  const startedAt = performance.now();
  try {
    await work();
    console.log(`${what} (${Math.round(performance.now() - startedAt)} ms)`);
  } catch (error) {
    console.error(`${what} failed: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function watchAll(stack: Stack): Promise<() => Promise<void>> {
  const token = await localToken(stack, directory);
  tellReady(stack, token);
  const example = new ExampleWorker(join(ROOT, "examples", "hello", "worker.ts"), {
    SKEIN_URL: stack.url,
    SKEIN_TOKEN: token,
  });
  process.on("exit", () => example.kill());
  example.start();
  const folders = [...WORKER_FOLDERS, SQL_FOLDER, ...EXAMPLE_FOLDERS];
  const unwatch = watchFolders(ROOT, folders, async (paths) => {
    const touches = (names: string[]): boolean =>
      paths.some((path) => names.some((name) => path.startsWith(`${name}/`)));
    console.log(`Changed: ${paths.join(", ")}`);
    if (touches([SQL_FOLDER])) {
      await attempt("Migrated", () => migrate({ databaseUrl: stack.databaseUrl }));
    }
    if (touches(WORKER_FOLDERS)) await attempt("Worker reloaded", () => reloadWorker(stack));
    if (touches([...EXAMPLE_FOLDERS, "protocol"])) await example.restart();
  });
  return async () => {
    unwatch();
    await example.stop();
    removeBundle();
  };
}

await runCommand(
  (signal) =>
    startStack({
      signal,
      port,
      directory,
      databaseUrl,
      log,
      adminSecret: process.env["ADMIN_SECRET"] || undefined,
      tell: (line) => console.log(line),
    }),
  watchAll,
);
