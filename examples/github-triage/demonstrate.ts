/**
 * The demonstration from beginning to end: publish, kill, wait, read the history, show, check. It
 * stops nothing and exits nowhere: whoever calls it does.
 */
import type { Program } from "../stage/program.ts";
import { isKept, printChecks } from "../stage/promises.ts";
import type { Terminal } from "../stage/terminal.ts";
import { checkPromises } from "./check.ts";
import { readDeliveries } from "./deliveries.ts";
import { countFigures, startLatency } from "./figures.ts";
import { readHistory } from "./history.ts";
import { chooseRun, printRun, printTable } from "./outcome.ts";
import { Publisher, tasksOf } from "./publish.ts";
import { type Stage, WEBHOOK } from "./stage.ts";
import { Strike } from "./strike.ts";
import { Tally } from "./tally.ts";
import { githubDigest, githubTriage } from "./workflows.ts";

/** Plays it with so many rounds, killing the victim in the middle; true when every promise held. */
export async function demonstrate(
  stage: Stage,
  victim: Program,
  rounds: number,
  terminal: Terminal,
): Promise<boolean> {
  const { skein, github, book } = stage;
  const deliveries = readDeliveries();
  const kinds = new Set(deliveries.map(({ kind }) => kind)).size;
  const tasks = rounds * deliveries.reduce((sum, { kind }) => sum + tasksOf(kind), 0);
  const tally = new Tally();
  const publisher = new Publisher(github, skein, tally);
  const strike = killer(stage, victim, terminal);
  book.onEffect = (effect) => {
    tally.add(effect);
    strike.see(effect, tally.done >= tasks / 2);
  };

  terminal.paragraph("✓", `${deliveries.length} real deliveries of ${kinds} kinds`, "green");
  terminal.line();
  terminal.startBar(() => ({ done: tally.done, of: tasks, unit: "tasks" }));
  const [first] = deliveries;
  const status = first && (await github.forge(first));
  await publisher.publishAtRest(deliveries);
  await publisher.publishAgain(deliveries);
  await publisher.publishRounds(deliveries, rounds);
  const stuck = await tally.atMost(0).catch((error: Error) => error);
  terminal.endBar();
  if (stuck !== undefined) terminal.paragraph("✗", stuck.message, "red");

  const ids = publisher.published.flatMap(({ runs }) => runs);
  let read = 0;
  terminal.startBar(() => ({ done: read, of: ids.length, unit: "histories read" }));
  const runs = await readHistory(skein, ids, (count) => {
    read = count;
  });
  terminal.endBar();

  const { publishedAt } = publisher;
  printTable(terminal, {
    events: publisher.published.length,
    kinds,
    rounds,
    sentAgain: publisher.published.filter(({ again }) => again !== null).length,
    runs: ids.length,
    figures: countFigures(runs, book.effects),
    atRest: startLatency(
      runs.filter(({ id }) => publisher.atRest.has(id)),
      publishedAt,
    ),
    underLoad: startLatency(
      runs.filter(({ id }) => !publisher.atRest.has(id)),
      publishedAt,
    ),
    killed: victim.name,
  });
  const shown = chooseRun(runs);
  if (shown !== undefined) printRun(terminal, shown);
  const failures = await skein.webhooks.failures(WEBHOOK);
  const checks = checkPromises({
    forged: { status: status ?? 0, refused: failures.map(({ code }) => code) },
    published: publisher.published,
    runs,
    effects: book.effects,
    steps: new Map([githubTriage, githubDigest].map((one) => [one.name, [...one.steps.keys()]])),
    killed: victim.name,
  });
  printChecks(terminal, checks);
  return checks.every(isKept);
}

/** Kills the victim when it is due, says so, and puts another worker in its place. */
function killer(stage: Stage, victim: Program, terminal: Terminal): Strike {
  const onKilled = (): void => {
    const { name, pid } = stage.addWorker();
    terminal.paragraph(
      "✗",
      `${victim.name} (pid ${victim.pid}) killed with SIGKILL: it had just written an effect and not yet reported it. ${name} (pid ${pid}) takes its place.`,
      "red",
    );
  };
  return new Strike(victim, onKilled, ({ worker, fencingToken }, afterMs) => {
    const seconds = (afterMs / 1_000).toFixed(1);
    terminal.paragraph(
      "↻",
      `${seconds} s later ${worker} does the first of its tasks again, with fencing token ${fencingToken}: Skein gives a silent worker that long to come back.`,
      "green",
    );
  });
}
