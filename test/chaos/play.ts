/**
 * Plays one kind of chaos from its first worker to the verdict: starts runs, throws when a share of
 * their effects has landed, waits until all have finished, and hears the witnesses.
 */
import { setMaxListeners } from "node:events";
import { SkeinError } from "../../sdk/index.ts";
import { split } from "../../bench/statistics.ts";
import { checkPromises, type Verdict } from "./checker.ts";
import { Fleet } from "./fleet.ts";
import type { RunRow } from "./history.ts";
import type { Kind } from "./kinds.ts";
import { Ledger } from "./ledger.ts";
import { Load } from "./load.ts";
import { ORDER_STEPS } from "./order.ts";
import type { SeededRandom } from "./random.ts";
import { lateRescues, measureRecovery, type Recovery } from "./recovery.ts";
import type { Thrown } from "./throws.ts";
import type { ChaosWorld } from "./world.ts";

export interface Outcome {
  kind: string;
  thrown: Thrown[];
  runs: number;
  attempts: number;
  /** Attempts that were lost and whose tasks went to others. */
  rescues: number;
  /** Results that workers sent again. */
  resent: number;
  /** Attempts that workers were told are no longer theirs. */
  stale: number;
  recoveries: Recovery[];
  verdict: Verdict;
  elapsedMs: number;
}

/** A kind that has not come to its end by then is judged as it is: twice what one takes. */
const LIMIT_MS = 120_000;

/** Calls for results in flight at the end. */
const READERS = 20;

export async function play(
  world: ChaosWorld,
  kind: Kind,
  runs: number,
  seed: SeededRandom,
  stopping?: AbortSignal,
): Promise<Outcome> {
  const beganAt = Date.now();
  const random = seed.fork(kind.name);
  const limit = AbortSignal.timeout(LIMIT_MS);
  const signal = stopping === undefined ? limit : AbortSignal.any([limit, stopping]);
  setMaxListeners(0, signal); // One for each call and each wait.
  const ledger = new Ledger();
  const fleet = new Fleet(ledger, kind.fleet, world.address, signal);
  const load = new Load(world.client, random.fork("load"), kind.name, signal);
  const thrown: Thrown[] = [];
  try {
    await Promise.race([fleet.start(), fleet.broken]);
    const storm = rage(world, kind, runs, { ledger, fleet, load, random, thrown, signal });
    await Promise.race([storm, fleet.broken]).catch((error: unknown) => {
      if (!limit.aborted) throw error; // What is missing then is for the checker to say.
    });
  } finally {
    await fleet.stop();
  }
  const rows = await world.read((history) => history.runs(kind.name));
  const recoveries = measureRecovery(kind.recovery, { thrown, runs: rows, ledger });
  const verdict = checkPromises({
    accepted: load.accepted,
    runs: rows,
    entries: ledger.entries,
    slots: kind.fleet.slots,
    isResumed: kind.isResumed,
  });
  if (kind.recovery === "rescue") verdict.late.push(...lateRescues(recoveries));
  if (limit.aborted) {
    const came = `${load.accepted.length} of ${runs} runs were accepted, ${thrown.length} things thrown`;
    verdict.stuck.push(`it had not come to its end after ${LIMIT_MS / 1_000} s: ${came}`);
  }
  return {
    kind: kind.name,
    thrown,
    runs: load.accepted.length,
    attempts: rows.flatMap(({ tasks }) => tasks).reduce((sum, { attempt }) => sum + attempt, 0),
    rescues: countLost(rows),
    resent: countNotes(ledger, "resent"),
    stale: countNotes(ledger, "stale"),
    recoveries,
    verdict,
    elapsedMs: Date.now() - beganAt,
  };
}

interface Storm {
  ledger: Ledger;
  fleet: Fleet;
  load: Load;
  random: SeededRandom;
  thrown: Thrown[];
  signal: AbortSignal;
}

/**
 * Each volley comes when the runs started so far are half done, and lets the next portion of runs
 * be started: so there is always a load, and always a client that calls while nobody answers.
 */
async function rage(world: ChaosWorld, kind: Kind, runs: number, storm: Storm): Promise<void> {
  const { ledger, fleet, load, random, thrown, signal } = storm;
  const portions = split(Array.from({ length: runs }), kind.volleys + 1).map(
    ({ length }) => length,
  );
  let released = 0;
  let loading = Promise.resolve();
  const release = (volley: number): void => {
    const portion = portions[volley] ?? 0;
    released += portion;
    loading = loading.then(() => load.start(portion));
    loading.catch(() => undefined); // Heard below, when the throw is over.
  };
  release(0);
  for (let volley = 0; volley < kind.volleys; volley++) {
    const due = (released - (portions[volley] ?? 0) / 2) * ORDER_STEPS.size;
    await ledger.until(() => ledger.applied >= due, signal);
    const striking = kind.strike({ world, fleet, ledger, random }, volley);
    release(volley + 1);
    thrown.push(...(await striking));
  }
  await loading;
  await ledger.until(() => ledger.applied >= runs * ORDER_STEPS.size, signal);
  await finish(world, load, signal);
}

/** The last effects have landed; now Skein must come to know of them. */
async function finish(world: ChaosWorld, load: Load, signal: AbortSignal): Promise<void> {
  const queue = load.accepted.values();
  const wait = async (): Promise<void> => {
    for (const id of queue) {
      await world.client.runs.result(id, { signal }).catch((error: unknown) => {
        // Whether it is there is for the checker to say.
        if (!(error instanceof SkeinError && error.code === "run_not_found")) throw error;
      });
    }
  };
  await Promise.all(Array.from({ length: READERS }, wait));
}

function countNotes({ notes }: Ledger, kind: "resent" | "stale"): number {
  return notes.filter((note) => note.kind === kind).reduce((sum, { count }) => sum + count, 0);
}

function countLost(rows: readonly RunRow[]): number {
  return rows
    .flatMap(({ tasks }) => tasks.flatMap(({ before }) => before))
    .filter(({ outcome }) => outcome === "lost").length;
}
