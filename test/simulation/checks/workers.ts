/** Workers are never asked for more than they offer, and what a dead one had runs elsewhere soon. */
import { HEARTBEAT_LIMIT_MS, RESUME_GRACE_MS } from "../../../protocol/session.ts";
import type { Execution } from "../ledger.ts";
import { stepPlan } from "../scenario.ts";
import type { WorkerProcess } from "../worker-process.ts";
import type { Check, Evidence } from "./check.ts";

/** What rescuing may take beyond the limit that it waits for. */
const RESCUE_MARGIN_MS = 1_000;

export const slotsAreKept: Check = {
  name: "a worker never runs more than its slots",
  find: ({ scenario: { workflows }, history, workers, at }) => {
    return workers.flatMap((worker) => {
      const own = history.ledger.executions.filter((run) => run.worker === worker.name);
      return own.flatMap((run) => {
        const running = own.filter((other) => isRunning(other, worker, run.startedAt));
        const slots = running.reduce(
          (sum, { workflow, step }) => sum + (stepPlan(workflows, workflow, step)?.slots ?? 1),
          0,
        );
        if (slots <= worker.plan.slots || running.length === 1) return [];
        const names = running.map(({ label }) => label).join(", ");
        return [
          `${worker.name} with ${worker.plan.slots} slots ran ${names} at ${at(run.startedAt)}`,
        ];
      });
    });
  },
};

export const tasksAreRescuedInTime: Check = {
  name: "a dead worker's tasks run elsewhere in time",
  find: (evidence) => {
    // Only on a good day is it a promise about time: one death, nothing else.
    if (evidence.scenario.theme !== "rescue") return [];
    return evidence.history.ledger.executions.flatMap((run) => lateRescue(run, evidence));
  },
};

function lateRescue(run: Execution, { history, workers, at }: Evidence): string[] {
  const worker = workers.find(({ name }) => name === run.worker);
  const lost = worker && lossOf(worker, run);
  if (lost === undefined || (run.endedAt !== undefined && run.endedAt <= lost.at)) return [];
  const deadline = lost.at + lost.limitMs + RESCUE_MARGIN_MS;
  const next = history.ledger.executions.find(
    ({ task, attempt }) => task === run.task && attempt > run.attempt,
  );
  if (next !== undefined && next.startedAt <= deadline) return [];
  const isSomebodyFree = workers.some((other) => {
    if (other === worker || !isWell(other, lost.at, deadline)) return false;
    const own = history.ledger.executions.filter((one) => one.worker === other.name);
    const atMost = Math.max(
      ...[lost.at, ...own.map(({ startedAt }) => startedAt)]
        .filter((moment) => moment >= lost.at && moment <= deadline)
        .map((moment) => own.filter((one) => isRunning(one, other, moment)).length),
    );
    return atMost < other.plan.slots;
  });
  if (!isSomebodyFree) return [];
  const since = next === undefined ? "never" : `only at ${at(next.startedAt)}`;
  return [`${run.label} was lost with ${run.worker} at ${at(lost.at)} and ran again ${since}`];
}

export const zombiesAreTold: Check = {
  name: "a handler is told to stop before its task runs elsewhere",
  find: ({ scenario, history, workers, at }) => {
    if (scenario.theme !== "rescue") return [];
    return history.ledger.executions.flatMap((run) => {
      const worker = workers.find(({ name }) => name === run.worker);
      const next = history.ledger.executions.find(
        ({ task, attempt }) => task === run.task && attempt > run.attempt,
      );
      if (next === undefined || worker === undefined) return [];
      const isAround = isRunning(run, worker, next.startedAt) && isWell(worker, 0, next.startedAt);
      if (!isAround || (run.abortedAt ?? Number.POSITIVE_INFINITY) <= next.startedAt) return [];
      return [`${run.label} still ran when ${next.label} started at ${at(next.startedAt)}`];
    });
  },
};

/** When and how an execution's worker stopped answering, if it did for long enough. */
function lossOf(
  worker: WorkerProcess,
  run: Execution,
): { at: number; limitMs: number } | undefined {
  const { diedAt, isSeenDying } = worker;
  if (diedAt !== undefined && diedAt >= run.startedAt) {
    return { at: diedAt, limitMs: isSeenDying ? RESUME_GRACE_MS : HEARTBEAT_LIMIT_MS };
  }
  const stop = worker.stops.find(({ from, to }) => {
    return from >= run.startedAt && to - from > HEARTBEAT_LIMIT_MS + RESCUE_MARGIN_MS;
  });
  return stop && { at: stop.from, limitMs: HEARTBEAT_LIMIT_MS };
}

/** Whether a worker was there and not stopped in all of a time. */
function isWell(worker: WorkerProcess, from: number, to: number): boolean {
  const isThere = worker.startedAt <= from || from === 0;
  const isAlive = worker.diedAt === undefined || worker.diedAt > to;
  return isThere && isAlive && worker.stops.every((stop) => stop.to < from || stop.from > to);
}

function isRunning(run: Execution, worker: WorkerProcess, moment: number): boolean {
  const isWaiting = run.children.some(
    ({ waitedFrom, waitedTo }) =>
      waitedFrom !== undefined && waitedFrom <= moment && (waitedTo ?? moment + 1) > moment,
  );
  if (isWaiting) return false; // its slot is another's
  const endedAt = run.endedAt ?? worker.diedAt ?? Number.POSITIVE_INFINITY;
  return run.startedAt <= moment && endedAt > moment;
}
