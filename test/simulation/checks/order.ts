/** A DAG is walked in its order, and a run ends as its tasks did. */
import { isFinishedRun } from "../../../protocol/states.ts";
import type { RecordedRun } from "../record.ts";
import { type Check, isFinishedTask, isSame, type TaskOfStep, tasksOf } from "./check.ts";

export const parentsComeFirst: Check = {
  name: "no step starts before its parents have completed, or are skipped",
  find: (evidence) => {
    const { history, at } = evidence;
    const tasks = tasksOf(evidence);
    const byId = new Map(tasks.map((task) => [task.id, task]));
    return history.ledger.executions.flatMap((execution) => {
      const task = byId.get(execution.task);
      const parents = tasks.filter(
        ({ run, step }) => run === execution.run && task?.plan.parents.includes(step),
      );
      return parents.flatMap((parent) => {
        if (parent.state === "skipped" && !(parent.plan.name in execution.parents)) return [];
        const [ran] = history.ledger.of({ task: parent.id, attempt: parent.attempt });
        const isFirst =
          parent.state === "completed" &&
          ran?.endedAt !== undefined &&
          ran.endedAt <= execution.startedAt &&
          (parent.step === task?.plan.compensates || // given to it beside its parents
            isSame(execution.parents[parent.plan.name], parent.output));
        if (isFirst) return [];
        const given = JSON.stringify(execution.parents[parent.plan.name]);
        return [
          `${execution.label} started at ${at(execution.startedAt)} with ${given} of ` +
            `${history.names.task(parent.id)}, which is ${parent.state}`,
        ];
      });
    });
  },
};

export const delaysAreKept: Check = {
  name: "no run begins before its delay is over",
  find: ({ history, recorded, at }) => {
    const byId = new Map(recorded.runs.map((run) => [run.id, run]));
    return history.ledger.executions.flatMap(({ run, startedAt, label }) => {
      const startsAt = byId.get(run)?.startsAt ?? 0;
      if (startedAt >= startsAt) return [];
      return [`${label} started at ${at(startedAt)}, before ${at(startsAt)}`];
    });
  },
};

export const runsEndAsTheirTasks: Check = {
  name: "a run ends as its tasks did",
  find: (evidence) => {
    const tasks = Map.groupBy(tasksOf(evidence), ({ run }) => run);
    return evidence.recorded.runs.flatMap((run) => {
      const own = tasks.get(run.id) ?? [];
      if (!isFinishedRun(run.state) || (run.remaining === 0 && isEndOf(run, own))) return [];
      const states = own.map(({ state, plan }) => `${plan.name} ${state}`).join(", ");
      const name = evidence.history.names.run(run.id);
      return [`${name} is ${run.state} (${run.remaining} left) with ${states}`];
    });
  },
};

function isEndOf({ state, failed, error }: RecordedRun, tasks: TaskOfStep[]): boolean {
  const failures = tasks.filter((task) => task.state === "failed");
  const isLate = error?.code === "run_timeout";
  // A run that takes too long is a failure itself, beside those of its tasks.
  const ownFailures = failed - failures.length;
  if (!tasks.every((task) => isFinishedTask(task.state))) return false;
  if (state === "cancelled") {
    // One that was late and is cancelled while it unwinds says in its error only who cancelled it.
    const hasUnwound = tasks.some(({ plan }) => plan.kind !== "step");
    const isCounted = ownFailures === 0 || (ownFailures === 1 && hasUnwound);
    return error !== null && !isLate && isCounted;
  }
  if (ownFailures !== Number(isLate)) return false;
  if (state === "completed") {
    return tasks.every((task) => task.state === "completed" || task.state === "skipped");
  }
  return isLate || failures.some(({ plan }) => plan.kind === "step");
}

export const onlyTheDoomedAreCancelled: Check = {
  name: "only what an ancestor's failure dooms is cancelled, or its run's end",
  find: (evidence) => {
    const tasks = tasksOf(evidence);
    return tasks.flatMap((task) => {
      if (task.state !== "cancelled" || task.ofRun.error !== null) return [];
      const parents = tasks.filter(
        ({ run, step }) => run === task.run && task.plan.parents.includes(step),
      );
      const isDoomed =
        task.plan.kind === "step" &&
        parents.some(({ state }) => state === "failed" || state === "cancelled");
      return isDoomed ? [] : [`${evidence.history.names.task(task.id)} is cancelled for nothing`];
    });
  },
};
