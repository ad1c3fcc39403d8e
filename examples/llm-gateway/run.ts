/**
 * `npm run gateway`: 2,000 completions of three customers, through one provider with limits, by two worker
 * processes. At the end the provider's books are opened: exits 0 only if every promise held by them.
 */
import { once } from "node:events";
import { parseArgs } from "node:util";
import { EXIT_INTERRUPTED, interruption } from "../stage/interruption.ts";
import { type LocalSkein, startLocalSkein } from "../stage/local-skein.ts";
import { isKept } from "../stage/promises.ts";
import { Terminal } from "../stage/terminal.ts";
import { checkPromises } from "./check.ts";
import { CUSTOMERS, tasksOf } from "./customers.ts";
import { Gateway } from "./gateway.ts";
import { printReport } from "./report.ts";
import { completeText } from "./workflows.ts";

const TASKS = 2_000;

/** What the provider allows in a minute: the tasks take some 75 seconds of it. */
const ALLOWED = { requests: 3_000, tokens: 1_000_000 };

const HELP = `npm run gateway

Puts ${TASKS} completions of three customers through one provider with limits,
and checks by the provider's books that it never said 429, that its budget was
used, and that each customer had its share.`;

const { values } = parseArgs({ options: { help: { type: "boolean", default: false } } });
if (values.help) {
  console.log(HELP);
  process.exit(0);
}
const terminal = new Terminal();
const stopping = interruption();
process.exit(await play());

/** From the start of everything to its end; the exit code. */
async function play(): Promise<number> {
  let skein: LocalSkein | undefined;
  let gateway: Gateway | undefined;
  try {
    skein = await startLocalSkein(stopping, (line) => terminal.status(line));
    gateway = await Gateway.open(skein, ALLOWED);
    const interrupted = once(stopping, "abort");
    const hasKeptAll = await Promise.race([complete(gateway), gateway.broken, interrupted]);
    return hasKeptAll === true ? 0 : stopping.aborted ? EXIT_INTERRUPTED : 1;
  } catch (error) {
    if (stopping.aborted) return EXIT_INTERRUPTED;
    terminal.endBar();
    terminal.line(`\n${error instanceof Error ? error.message : String(error)}`);
    return 1;
  } finally {
    terminal.close(); // What was interrupted may still be on its way.
    await gateway?.close();
    await skein?.stop();
  }
}

/** Does all tasks, and tells whether every promise held. */
async function complete(gateway: Gateway): Promise<boolean> {
  const runs = await gateway.skein.startMany(completeText, tasksOf(TASKS));
  terminal.paragraph("✓", `${TASKS} tasks are waiting; two workers begin`, "green");
  let done = 0;
  terminal.startBar(() => ({ done, of: TASKS, unit: "tasks" }));
  await gateway.startWorkers();
  for (const run of runs) {
    await run.result();
    done += 1;
  }
  terminal.endBar();
  const evidence = { books: await gateway.readBooks(), customers: CUSTOMERS, tasks: TASKS };
  const checks = checkPromises(evidence);
  printReport(terminal, evidence, checks);
  return checks.every(isKept);
}
