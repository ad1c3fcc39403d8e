/**
 * `npm run start`: the whole of Skein on this machine, until Ctrl-C. No account, no container, and
 * nothing outside the repository's directory.
 */
import { readCommand, runCommand, tellReady } from "./command.ts";
import { localToken } from "./local-tenant.ts";
import { startStack } from "./stack.ts";

const HELP = `Starts Skein on this machine: a database, its migrations, and the Worker in workerd.

  npm run start -- [options]`;

const { port, directory, databaseUrl, log } = readCommand(HELP);

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
  async (stack) => {
    tellReady(stack, await localToken(stack, directory));
    return async () => {};
  },
);
