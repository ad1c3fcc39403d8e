/**
 * What follows a failure: retries in time and never too many, an unwinding in order, children that
 * are their parent's alone, and cancellations that end what they were answered to have ended.
 */
import { isFinishedRun } from "../../../protocol/states.ts";
import type { RecordedRun } from "../record.ts";
import type { WorkflowPlan } from "../scenario.ts";
import {
  type Check,
  type Evidence,
  isFinishedTask,
  type TaskOfStep,
  tasksOf,
  versionsOf,
} from "./check.ts";

/** Within so long what is over is heard of everywhere, once faults have stopped. */
const HEARD_OF_MS = 60_000;

/** Children are cancelled after their parent, each by a timer of its own. */
const FOLLOWS_WITHIN_MS = 30_000;

/** Waits are whole milliseconds. */
const ROUNDING_MS = 1;

export const retriesAreCounted: Check = {
  name: "a task fails no more often than its retries allow",
  find: (evidence) => {
    const before = Map.groupBy(failedAttempts(evidence), ({ task }) => task);
    return tasksOf(evidence).flatMap((task) => {
      const isLast = task.state === "failed" && isFailure(task.error?.code);
      const failures = (before.get(task.id)?.length ?? 0) + Number(isLast);
      const allowed = (task.plan.retry?.retries ?? 0) + 1;
      if (failures <= allowed) return [];
      return [`${evidence.history.names.task(task.id)} failed ${failures} times of ${allowed}`];
    });
  },
};

export const retriesWait: Check = {
  name: "no retry comes before its wait is over",
  find: (evidence) => {
    const { history, at } = evidence;
    const { names, ledger, said } = history;
    const tasks = new Map(tasksOf(evidence).map((task) => [task.id, task]));
    const before = Map.groupBy(failedAttempts(evidence), ({ task }) => task);
    return [...before].flatMap(([id, attempts]) =>
      attempts.flatMap((attempt, failures) => {
        const backoff = tasks.get(id)?.plan.retry?.backoff;
        if (backoff === undefined) return [`${names.attempt(attempt)} has no retries and had one`];
        const { initialMs, factor, maxMs, jitter } = backoff;
        const leastMs = Math.min(maxMs, initialMs * factor ** failures) * (1 - jitter);
        const [ran] = attempt.outcome === "failed" ? ledger.of(attempt) : [];
        const dueAt = attempt.finishedAt + (ran?.retryAfterMs ?? leastMs) - ROUNDING_MS;
        const next = said.find(
          (frame) => frame.type === "task" && frame.task === id && frame.attempt > attempt.attempt,
        );
        if (next === undefined || next.at >= dueAt) return [];
        return [
          `${names.attempt(next)} was sent at ${at(next.at)}, and not due before ${at(dueAt)}`,
        ];
      }),
    );
  },
};

export const failedRunsUnwind: Check = {
  name: "a failed run is undone, the last step first, then its onFailure is called",
  find: (evidence) => {
    const tasks = Map.groupBy(tasksOf(evidence), ({ run }) => run);
    return evidence.recorded.runs.flatMap((run) => {
      if (run.state !== "failed") return [];
      const name = evidence.history.names.run(run.id);
      return wrongUnwinding(run, tasks.get(run.id) ?? [], evidence).map(
        (text) => `${name}: ${text}`,
      );
    });
  },
};

export const onlyFailedRunsUnwind: Check = {
  name: "only a failed run is undone",
  find: (evidence) =>
    tasksOf(evidence).flatMap(({ id, state, plan, ofRun }) => {
      if (plan.kind === "step" || ofRun.state === "failed") return [];
      // It may be cancelled while it unwinds, and then had something to undo, but no end.
      const hasFailed = ofRun.failed > 0 && plan.kind === "compensate";
      if (ofRun.state === "cancelled" && (hasFailed || state === "cancelled")) return [];
      if (!isFinishedRun(ofRun.state)) return [];
      const { names } = evidence.history;
      return [`${names.task(id)} (${plan.name}) is ${state} in a run that is ${ofRun.state}`];
    }),
};

export const oneKeyIsOneChild: Check = {
  name: "a key of a task is one child, in every attempt",
  find: ({ history: { ledger, names }, recorded }) => {
    const known = new Map(
      recorded.children.map(({ parent, key, run }) => [`${parent} ${key}`, run]),
    );
    const twice = [...Map.groupBy(recorded.runs, ({ parent, key }) => `${parent} ${key}`)]
      .filter(([, [first, ...others]]) => first?.parent !== null && others.length > 0)
      .map(([, runs]) => `${runs.map(({ id }) => names.run(id)).join(", ")} are the same child`);
    const other = ledger.executions.flatMap(({ task, label, children }) =>
      children
        .filter(({ key, run }) => known.get(`${task} ${key}`) !== run)
        .map(({ key, run }) => `${label} was given ${names.run(run)} as ${key}`),
    );
    return [...twice, ...other];
  },
};

export const waitingHandlersAreToldTheTruth: Check = {
  name: "a handler is told its child's true end",
  find: ({ history: { ledger, names }, recorded }) => {
    const states = new Map(recorded.runs.map(({ id, state }) => [id, state]));
    return ledger.executions.flatMap(({ label, children }) =>
      children
        .filter(({ run, told }) => told !== undefined && told !== states.get(run))
        .map(({ run, told }) => `${label} was told that ${names.run(run)} is ${told}`),
    );
  },
};

export const cancellationsHold: Check = {
  name: "what is cancelled ends so, its children after it, and nobody else's",
  find: ({ scenario, history: { askedToCancel, names }, recorded, calmAt, at }) => {
    const runs = new Map(recorded.runs.map((run) => [run.id, run]));
    const asked = new Set(askedToCancel.map(({ run }) => run));
    const broken = askedToCancel
      .filter(({ run, answer }) => answer && runs.get(run)?.state !== "cancelled")
      .map(({ run }) => `${names.run(run)} was cancelled, and is ${runs.get(run)?.state}`);
    const parents = new Map(
      recorded.children.flatMap(({ parent, run, isDetached }) => {
        const of = recorded.runs.find(({ tasks }) => tasks.some(({ id }) => id === parent));
        return isDetached || of === undefined ? [] : [[run, of] as const];
      }),
    );
    const strategic = new Set(
      scenario.workflows.filter(cancels).flatMap(({ name }) => versionsOf(name, recorded.steps)),
    );
    const stray = recorded.runs.flatMap(({ id, version, state, error, finishedAt }) => {
      const parent = parents.get(id);
      const isDoomed = parent !== undefined && isCutShort(parent);
      const isEvicted = error?.code === "limit_full" && strategic.has(version);
      if (state === "cancelled" && !asked.has(id) && !isDoomed && !isEvicted) {
        return [`${names.run(id)} is cancelled, and nobody asked for it`];
      }
      if (!isDoomed || state === "cancelled" || parent.state !== "cancelled") return [];
      const deadline = Math.max(parent.finishedAt ?? 0, calmAt) + FOLLOWS_WITHIN_MS;
      if (finishedAt !== null && finishedAt <= deadline) return [];
      return [`${names.run(id)} outlived ${names.run(parent.id)} after ${at(deadline)}`];
    });
    return [...broken, ...stray];
  },
};

export const nothingRunsOn: Check = {
  name: "nothing begins long after its run was over",
  find: ({ history: { ledger }, recorded, calmAt, at }) => {
    const runs = new Map(recorded.runs.map((run) => [run.id, run]));
    return ledger.executions.flatMap(({ run, label, startedAt }) => {
      const finishedAt = runs.get(run)?.finishedAt ?? Number.POSITIVE_INFINITY;
      if (startedAt <= Math.max(finishedAt, calmAt) + HEARD_OF_MS) return [];
      return [`${label} began at ${at(startedAt)}, its run was over at ${at(finishedAt)}`];
    });
  },
};

/** Whether a run's end takes its children with it. */
function isCutShort({ error }: RecordedRun): boolean {
  return error !== null;
}

/** Whether a run of the workflow may be cancelled by a limit. */
function cancels({ limits, steps }: WorkflowPlan): boolean {
  const uses = [...limits, ...steps.flatMap((step) => step.limits)];
  return uses.some(({ strategy = "queue" }) => strategy !== "queue");
}

function isFailure(code: string | undefined): boolean {
  return !WITHOUT_FAILURE.has(code ?? "");
}

/** What a task's last attempt did not come to, or what came before it had one. */
const WITHOUT_FAILURE = new Set(["schedule_timeout", "limit_held_by_parent", "worker_lost"]);

/** In the order of their tasks and numbers. */
function failedAttempts({ recorded }: Evidence): Evidence["recorded"]["attempts"] {
  return recorded.attempts.filter(({ outcome }) => outcome === "failed" || outcome === "timed_out");
}

function wrongUnwinding(
  { version }: RecordedRun,
  tasks: TaskOfStep[],
  evidence: Evidence,
): string[] {
  const { history, recorded } = evidence;
  const plans = recorded.steps.filter((step) => step.version === version);
  const done = new Map(
    tasks.filter(({ state }) => state === "completed").map((task) => [task.step, task]),
  );
  const undone = plans.filter(
    ({ kind, compensates }) => kind === "compensate" && done.has(compensates ?? -1),
  );
  const ended = tasks.filter(({ plan, state }) => plan.kind !== "step" && isFinishedTask(state));
  const expected = undone.length + plans.filter(({ kind }) => kind === "on_failure").length;
  if (ended.length !== expected || new Set(ended.map(({ step }) => step)).size !== expected) {
    return [`${ended.map(({ plan }) => plan.name).join(", ")} have ended, of ${expected}`];
  }
  // An end that follows is the end of the step that it undoes; onFailure undoes nothing, and is last.
  const undoes = ({ plan }: TaskOfStep): number =>
    done.get(plan.compensates ?? -1)?.finishedAt ?? 0;
  const steps = tasks.filter(({ plan }) => plan.kind === "step");
  let over = Math.max(...steps.map(({ finishedAt }) => finishedAt ?? 0));
  return ended
    .toSorted((one, other) => (one.finishedAt ?? 0) - (other.finishedAt ?? 0))
    .flatMap((task, index, all) => {
      const last = all[index - 1];
      const began = history.ledger.executions.find((run) => run.task === task.id)?.startedAt;
      const isInOrder = last === undefined || undoes(last) >= undoes(task);
      const isAlone = began === undefined || began >= over;
      over = task.finishedAt ?? 0;
      return isInOrder && isAlone ? [] : [`${task.plan.name} came before its turn`];
    });
}
