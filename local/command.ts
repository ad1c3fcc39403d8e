/**
 * What the commands `start` and `dev` share: their options, Ctrl-C, the clock that stands in for
 * Cloudflare's cron, and what is told once the stack is up.
 */
import { parseArgs } from "node:util";
import type { Stack } from "./stack.ts";

export interface CommandOptions {
  port: number;
  directory: string;
  databaseUrl: string | undefined;
  log: "pretty" | "json";
}

const DEFAULT_PORT = 8787;
const DEFAULT_DIRECTORY = ".skein/stack";
/** As `wrangler.toml` has it. */
export const CRON_MS = 60_000;

const OPTIONS_HELP = `Options
  --port PORT        of the API (default ${DEFAULT_PORT})
  --directory DIR    where everything is kept between starts (default ${DEFAULT_DIRECTORY})
  --json             log lines as JSON, as in production
  --help             this text

Environment
  DATABASE_URL       a Postgres 15 or newer to use instead of the built-in PGlite;
                     it is migrated at start
  ADMIN_SECRET       opens /api/v1/admin (default: a random one kept in the directory)
`;

/** Reads the command line; prints the help, or what is wrong with it, and exits where that is all. */
export function readCommand(help: string): CommandOptions {
  try {
    const { values } = parseArgs({
      options: {
        port: { type: "string", default: String(DEFAULT_PORT) },
        directory: { type: "string", default: DEFAULT_DIRECTORY },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      console.log(`${help}\n\n${OPTIONS_HELP}`);
      process.exit(0);
    }
    const port = Number(values.port);
    if (!Number.isInteger(port) || port < 1 || port > 65_535) {
      throw new Error(`--port must be a number from 1 to 65535, not "${values.port}".`);
    }
    return {
      port,
      directory: values.directory,
      databaseUrl: process.env["DATABASE_URL"] || undefined,
      log: values.json ? "json" : "pretty",
    };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\nTry --help.`);
    process.exit(2);
  }
}

/**
 * Runs until Ctrl-C, SIGTERM, or a part of the stack has ended by itself; then stops everything.
 * A second Ctrl-C does not wait: the parts end by themselves when this program is gone.
 */
export async function runCommand(
  start: (signal: AbortSignal) => Promise<Stack>,
  whileRunning: (stack: Stack) => Promise<() => Promise<void>>,
): Promise<never> {
  let signals = 0;
  const stopping = new AbortController();
  const { promise: asked, resolve: ask } = Promise.withResolvers<number>();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (++signals > 1) process.exit(130);
      console.log("\nStopping.");
      stopping.abort();
      ask(0);
    });
  }
  let stack: Stack | undefined;
  let code = 1;
  try {
    stack = await start(stopping.signal);
    if (signals === 0) {
      const leave = await whileRunning(stack);
      const cron = setInterval(() => runCron(stack), CRON_MS);
      const lost = stack.database.exited.then(() => {
        if (signals === 0) console.error("The local database has ended by itself; stopping.");
        return 1;
      });
      code = await Promise.race([asked, lost]);
      clearInterval(cron);
      await leave();
    } else code = 0;
  } catch (error) {
    if (signals > 0) code = 0;
    else console.error(error instanceof Error ? error.message : error);
  }
  await stack?.stop();
  process.exit(code);
}

/** Locally nothing else does what the cron trigger does. */
function runCron(stack: Stack | undefined): void {
  stack?.workerd.runScheduled().catch((error: unknown) => console.error(`cron: ${String(error)}`));
}

export function tellReady(stack: Stack, token: string): void {
  console.log(`
Skein is ready.
  API            ${stack.url}
  Documentation  ${stack.url}/docs
  Database       ${stack.databaseUrl}
  Admin secret   ${stack.adminSecret}

For a worker or a client on this machine:
  SKEIN_URL=${stack.url} SKEIN_TOKEN=${token}

Another tenant, and a token for it:
  curl -X POST ${stack.url}/api/v1/admin/tenants -H 'content-type: application/json' \\
    -H 'authorization: Bearer ${stack.adminSecret}' -d '{"name":"mine"}'
  curl -X POST ${stack.url}/api/v1/admin/tenants/ID/tokens -H 'content-type: application/json' \\
    -H 'authorization: Bearer ${stack.adminSecret}' -d '{"name":"mine"}'

Ctrl-C stops it; what it knows stays.
`);
}
