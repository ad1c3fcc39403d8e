/**
 * How long it took until things went on. Pure; every figure is in milliseconds from a throw, by the
 * clock of the one process that throws and keeps the ledger.
 */
import { RESUME_GRACE_MS } from "../../protocol/session.ts";
import type { RunRow } from "./history.ts";
import { type Entry, keyOf, type Note } from "./ledger.ts";
import type { RecoveryMeasure } from "./kinds.ts";
import type { Thrown } from "./throws.ts";

/** A killed worker's socket closes at once; after the grace its tasks go to others. */
export const RESCUE_LIMIT_MS = RESUME_GRACE_MS + 1_000;

/** What has come back; `what` names it. */
export interface Recovery {
  what: string;
  ms: number;
}

export interface RecoveryEvidence {
  thrown: readonly Thrown[];
  runs: readonly RunRow[];
  ledger: { entries: readonly Entry[]; notes: readonly Note[] };
}

export function measureRecovery(measure: RecoveryMeasure, evidence: RecoveryEvidence): Recovery[] {
  if (measure === "rescue") return rescues(evidence);
  return measure === "welcome" ? welcomes(evidence) : runsAfter(evidence);
}

/** Tasks that a killed worker had, until another attempt of them began. */
function rescues({ thrown, runs, ledger: { entries } }: RecoveryEvidence): Recovery[] {
  const killedAt = new Map(thrown.flatMap(({ killed, at }) => killed.map((name) => [name, at])));
  const begun = Map.groupBy(
    entries.filter(({ kind }) => kind === "begun"),
    keyOf,
  );
  return runs.flatMap(({ id: run, tasks }) =>
    tasks.flatMap(({ step, before }) =>
      before.flatMap(({ attempt, outcome, worker }) => {
        const since = killedAt.get(worker ?? "");
        const next = begun.get(keyOf({ run, step }))?.find((entry) => entry.attempt > attempt);
        if (outcome !== "lost" || since === undefined || next === undefined) return [];
        return [{ what: `step ${step} of run ${run}`, ms: next.at - since }];
      }),
    ),
  );
}

/** Workers, until their shard welcomed them again. */
function welcomes({ thrown, ledger: { notes } }: RecoveryEvidence): Recovery[] {
  return thrown.flatMap(({ at, what }) => {
    const welcomed = notes.filter(({ kind }) => kind === "welcomed");
    const before = new Set(welcomed.filter((note) => note.at < at).map(({ worker }) => worker));
    return [...before].flatMap((worker) => {
      const next = welcomed.find((note) => note.worker === worker && note.at >= at);
      return next === undefined ? [] : [{ what: `${worker} after a ${what}`, ms: next.at - at }];
    });
  });
}

/** Of the runs whose first step began after a throw, the first that had its last effect. */
function runsAfter({ thrown, ledger: { entries } }: RecoveryEvidence): Recovery[] {
  const beganAt = new Map<string, number>();
  for (const { run, at } of entries) if (!beganAt.has(run)) beganAt.set(run, at);
  return thrown.flatMap(({ at, what }) => {
    const first = entries.find(
      ({ kind, step, run }) =>
        kind === "applied" && step === "ship" && (beganAt.get(run) ?? 0) >= at,
    );
    return first === undefined ? [] : [{ what: `after ${what}`, ms: first.at - at }];
  });
}

/** Tasks that were rescued later than promised. */
export function lateRescues(recoveries: readonly Recovery[]): string[] {
  return recoveries
    .filter(({ ms }) => ms > RESCUE_LIMIT_MS)
    .map(({ what, ms }) => `${what} ran elsewhere ${ms} ms after its worker was killed`);
}
