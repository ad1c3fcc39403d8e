/**
 * Runs one seed and says what came of it: what was thrown, what happened, and which promises were
 * broken. Loaded in a thread whose modules are hooked.
 */
import * as ids from "../../protocol/ids.ts";
import { type Finding, findBrokenPromises } from "./checks/checks.ts";
import { turnKnobs } from "./knobs.ts";
import type { Postgres } from "./postgres.ts";
import { readRecorded } from "./record.ts";
import { type Asked, drawScenario } from "./scenario.ts";
import { BEGINS_AT, Simulation } from "./simulation.ts";
import type { ThemeName } from "./themes.ts";

export interface SeedOptions extends Asked {
  postgres: Postgres;
  print?: ((line: string) => void) | undefined;
}

export interface SeedResult {
  seed: number;
  theme: ThemeName;
  /** Of everything that happened: the same each time. */
  hash: string;
  findings: Finding[];
  /** What was thrown at the system, by kind. */
  thrown: Record<string, number>;
  /** What happened, by kind. */
  happened: Record<string, number>;
}

/** What rejects without anybody listening, in the seed that runs. */
let unheard: unknown[] = [];
process.on("unhandledRejection", (reason) => unheard.push(reason));

export async function simulateSeed(
  seed: number,
  { postgres, print, ...asked }: SeedOptions,
): Promise<SeedResult> {
  restartIds();
  unheard = [];
  const scenario = drawScenario(seed, asked);
  turnKnobs(scenario.knobs);
  const simulation = new Simulation(scenario, { postgres, print });
  const { history, trace, clock } = simulation;
  const knobs = Object.entries(scenario.knobs).map(([name, value]) => `${name}=${value}`);
  trace.note("director", [`a bad day of kind "${scenario.theme}"`, ...knobs].join(", "));
  await simulation.run();
  for (const reason of unheard) history.blame(`unheard: ${textOf(reason)}`);
  const recorded = await readRecorded(postgres);
  const findings = findBrokenPromises({
    scenario,
    history,
    recorded,
    workers: simulation.workers,
    clients: simulation.clients,
    rest: simulation.rest,
    calmAt: simulation.calmAt,
    at: (moment) => `${((moment - BEGINS_AT) / 1_000).toFixed(3)} s`,
  });
  const { executions } = history.ledger;
  const steps = new Set(scenario.workflows.flatMap((one) => one.steps.map(({ name }) => name)));
  const unwinding = executions.filter(({ step }) => !steps.has(step));
  const attemptsWith = (one: string): number =>
    recorded.attempts.filter(({ outcome }) => outcome === one).length;
  const heard = (type: string): number => history.heard.filter((one) => one.type === type).length;
  return {
    seed,
    theme: scenario.theme,
    hash: trace.hash,
    findings,
    thrown: trace.thrown,
    happened: {
      seeds: 1,
      "virtual seconds": Math.round((clock.now - BEGINS_AT) / 1_000),
      turns: clock.turns,
      "lives of shards": simulation.lives,
      "runs accepted": new Set(history.promised.flatMap(({ runs }) => runs)).size,
      "events accepted and published later": history.accepted.size,
      "runs completed": recorded.runs.filter(({ state }) => state === "completed").length,
      "runs failed": recorded.runs.filter(({ state }) => state === "failed").length,
      "runs cancelled": recorded.runs.filter(({ state }) => state === "cancelled").length,
      "runs of children": recorded.children.length,
      "compensations and onFailure executed": unwinding.length,
      "attempts executed": executions.length,
      "attempts lost and given out again": attemptsWith("lost"),
      "attempts retried": attemptsWith("failed") + attemptsWith("timed_out"),
      "handlers told to stop": executions.filter(({ abortedAt }) => abortedAt).length,
      "results recorded": heard("recorded"),
      "results refused as stale": heard("stale"),
      "effects refused by their token": history.ledger.effects.filter((one) => !one.isAccepted)
        .length,
    },
  };
}

/** The hook gives it to the module: see `module-hooks.ts`. */
function restartIds(): void {
  (ids as unknown as { restartIds: () => void }).restartIds();
}

function textOf(reason: unknown): string {
  return reason instanceof Error ? (reason.stack ?? reason.message) : String(reason);
}
