/**
 * What a shard's tables must hold, as plainly as it can be said: no SQL, no batches, one thing after
 * the other. It must stay naive, so that being right is a matter of reading it.
 */
import type { AttemptOutcome, RunState, TaskState } from "../../protocol/states.ts";

export interface ModelTask {
  id: string;
  run: ModelRun;
  parents: ModelTask[];
  state: TaskState;
  /** Attempts that have ended. */
  attempt: number;
  /** Where a ready task is: in the queue, or in the handout of a commit. */
  place: "queue" | number | undefined;
}

export interface ModelRun {
  id: string;
  tasks: ModelTask[];
}

export class Model {
  readonly runs: ModelRun[] = [];

  /** Parents are positions of earlier steps. */
  start(
    id: string,
    taskIds: string[],
    parents: number[][],
    place: (step: number) => "queue" | number,
  ): void {
    const run: ModelRun = { id, tasks: [] };
    for (const [step, taskId] of taskIds.entries()) {
      const above = (parents[step] ?? []).flatMap((parent) => run.tasks[parent] ?? []);
      const isRoot = above.length === 0;
      run.tasks.push({
        id: taskId,
        run,
        parents: above,
        state: isRoot ? "queued" : "waiting",
        attempt: 0,
        place: isRoot ? place(step) : undefined,
      });
    }
    this.runs.push(run);
  }

  /** Ends attempts, and returns the tasks that became ready; they have no place yet. */
  end(results: { task: ModelTask; attempt: number; outcome: AttemptOutcome }[]): ModelTask[] {
    const ready: ModelTask[] = [];
    for (const { task, attempt, outcome } of results) {
      if (!isReady(task) || attempt !== task.attempt + 1) continue;
      task.attempt = attempt;
      task.state = outcome === "completed" ? "completed" : outcome === "lost" ? "queued" : "failed";
      task.place = undefined;
      if (outcome === "lost") ready.push(task);
    }
    for (const task of this.tasks().filter(({ state }) => state === "waiting")) {
      if (task.parents.every(({ state }) => state === "completed")) {
        task.state = "queued";
        ready.push(task);
      } else if (task.parents.some(({ state }) => state === "failed" || state === "cancelled")) {
        // Steps stand below their parents in the list, so what is below this one comes later.
        task.state = "cancelled";
      }
    }
    return ready.toSorted((left, right) => (left.id < right.id ? -1 : 1));
  }

  tasks(): ModelTask[] {
    return this.runs.flatMap(({ tasks }) => tasks);
  }

  ready(): ModelTask[] {
    return this.tasks().filter(isReady);
  }

  inQueue(): ModelTask[] {
    const queued = this.ready().filter(({ place }) => place === "queue");
    return queued.toSorted((left, right) => (left.id < right.id ? -1 : 1));
  }

  inHand(): ModelTask[] {
    return this.ready().filter(({ place }) => typeof place === "number");
  }

  /** Whether a run has ended, and how; a run that has not is `queued` until a result or a start. */
  finished(run: ModelRun): RunState | undefined {
    if (
      run.tasks.some(
        ({ state }) => state === "waiting" || state === "queued" || state === "running",
      )
    ) {
      return undefined;
    }
    return run.tasks.every(({ state }) => state === "completed") ? "completed" : "failed";
  }
}

export function isReady({ state }: ModelTask): boolean {
  return state === "queued" || state === "running";
}
