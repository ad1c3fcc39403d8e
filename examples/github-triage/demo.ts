/**
 * `npm run demo`: publishes 329 real GitHub deliveries, several rounds of them, to a local Skein with
 * two worker processes, kills one in the middle, and checks from Skein's history and from the
 * outside world that nothing was lost and nothing recorded twice. Exits 0 only then.
 */
import { once } from "node:events";
import { parseArgs } from "node:util";
import { EXIT_INTERRUPTED, interruption } from "../stage/interruption.ts";
import type { Program } from "../stage/program.ts";
import { Terminal } from "../stage/terminal.ts";
import { demonstrate } from "./demonstrate.ts";
import { Stage } from "./stage.ts";

const DEFAULT_ROUNDS = 3;
const MAX_ROUNDS = 100; // Everything is kept in memory, to be checked at the end.

const HELP = `npm run demo -- [options]

Publishes real GitHub webhook deliveries to a Skein on this machine, kills a
worker in the middle, and checks that nothing was lost or recorded twice.

  --rounds N   how often all 329 deliveries are published (default ${DEFAULT_ROUNDS})
  --keep       leave everything running at the end, until Ctrl-C
  --help       this text`;

interface Options {
  rounds: number;
  keep: boolean;
}

const options = readOptions();
const terminal = new Terminal();
const stopping = interruption();
const interrupted = once(stopping, "abort");
process.exit(await play());

async function play(): Promise<number> {
  let stage: Stage | undefined;
  let code = 1;
  try {
    terminal.line();
    stage = await Stage.set(stopping, (line) => terminal.status(line));
    const playing = demonstrate(stage, await startWorkers(stage), options.rounds, terminal);
    const outcome = await Promise.race([playing, stage.broken, interrupted]);
    code = outcome === true ? 0 : 1;
    if (options.keep && !stopping.aborted) await keep(stage);
    else if (stopping.aborted) code = EXIT_INTERRUPTED;
  } catch (error) {
    terminal.endBar();
    if (stopping.aborted) code = EXIT_INTERRUPTED;
    else terminal.line(`\n${error instanceof Error ? error.message : String(error)}`);
  }
  terminal.line();
  terminal.close(); // An interrupted demonstration may still be on its way.
  await stage?.clear();
  return code;
}

/** Starts two workers; the first one will be killed. */
async function startWorkers(stage: Stage): Promise<Program> {
  const workers = [stage.addWorker(), stage.addWorker()] as const;
  await Promise.race([Promise.all(workers.map((one) => one.ready())), interrupted]);
  const who = workers.map(({ name, pid }) => `${name} (pid ${pid})`).join(" and ");
  terminal.paragraph("✓", `Skein at ${stage.url}`, "green");
  terminal.paragraph("✓", `${who} are connected`, "green");
  return workers[0];
}

async function keep(stage: Stage): Promise<void> {
  terminal.line();
  terminal.line("  Everything is left running, until Ctrl-C:");
  terminal.line(`    SKEIN_URL=${stage.url}`);
  terminal.line(`    SKEIN_TOKEN=${stage.token}`);
  terminal.line(`    ${stage.url}/docs`);
  await interrupted;
}

function readOptions(): Options {
  try {
    const { values } = parseArgs({
      options: {
        rounds: { type: "string", default: String(DEFAULT_ROUNDS) },
        keep: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      console.log(HELP);
      process.exit(0);
    }
    const rounds = Number(values.rounds);
    if (!Number.isInteger(rounds) || rounds < 1 || rounds > MAX_ROUNDS) {
      throw new Error(`--rounds must be a number from 1 to ${MAX_ROUNDS}, not "${values.rounds}".`);
    }
    return { rounds, keep: values.keep };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\nTry --help.`);
    process.exit(2);
  }
}
