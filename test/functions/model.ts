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
  /** Attempts that have ended; those that failed or ran out of time; those whose worker vanished. */
  attempt: number;
  failures: number;
  rescues: number;
  /** Where a task that will be executed is: in the queue, in a commit's handout, or asleep. */
  place: "queue" | "timer" | number | undefined;
}

export interface ModelRun {
  id: string;
  tasks: ModelTask[];
  isCancelled: boolean;
}

export interface ModelResult {
  task: ModelTask;
  attempt: number;
  outcome: AttemptOutcome;
  /** Whether another attempt follows, and when. */
  next: "never" | "now" | "later";
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
    const run: ModelRun = { id, tasks: [], isCancelled: false };
    for (const [step, taskId] of taskIds.entries()) {
      const above = (parents[step] ?? []).flatMap((parent) => run.tasks[parent] ?? []);
      const isRoot = above.length === 0;
      run.tasks.push({
        id: taskId,
        run,
        parents: above,
        state: isRoot ? "queued" : "waiting",
        attempt: 0,
        failures: 0,
        rescues: 0,
        place: isRoot ? place(step) : undefined,
      });
    }
    this.runs.push(run);
  }

  /** Ends attempts, and returns the tasks that became ready; they have no place yet. */
  end(results: ModelResult[]): ModelTask[] {
    const ready: ModelTask[] = [];
    for (const { task, attempt, outcome, next } of results) {
      if (!isReady(task) || attempt !== task.attempt + 1) continue;
      task.attempt = attempt;
      if (outcome === "failed" || outcome === "timed_out") task.failures++;
      if (outcome === "lost") task.rescues++;
      task.place = undefined;
      if (outcome === "completed") task.state = "completed";
      else if (next === "never") task.state = "failed";
      else if (next === "later") sleep(task);
      else {
        task.state = "queued";
        ready.push(task);
      }
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
    return sorted(ready);
  }

  /** Ends backoffs, and returns the tasks that became ready; they have no place yet. */
  wake(tasks: ModelTask[]): ModelTask[] {
    const woken = tasks.filter(({ state }) => state === "backoff");
    for (const task of woken) {
      task.state = "queued";
      task.place = undefined;
    }
    return sorted(woken);
  }

  /** Ends a run that has not ended, with all that it has; `leased` have an attempt in hand. */
  cancel(run: ModelRun, leased: ModelTask[]): void {
    if (this.finished(run) !== undefined) return;
    run.isCancelled = true;
    for (const task of run.tasks.filter(isOpen)) {
      if (leased.includes(task)) task.attempt++;
      task.state = "cancelled";
      task.place = undefined;
    }
  }

  tasks(): ModelTask[] {
    return this.runs.flatMap(({ tasks }) => tasks);
  }

  ready(): ModelTask[] {
    return this.tasks().filter(isReady);
  }

  inQueue(): ModelTask[] {
    return sorted(this.ready().filter(({ place }) => place === "queue"));
  }

  inHand(): ModelTask[] {
    return this.ready().filter(({ place }) => typeof place === "number");
  }

  asleep(): ModelTask[] {
    return sorted(this.tasks().filter(({ place }) => place === "timer"));
  }

  /** Whether a run has ended, and how; a run that has not is `queued` until a result or a start. */
  finished(run: ModelRun): RunState | undefined {
    if (run.isCancelled) return "cancelled";
    if (run.tasks.some(isOpen)) return undefined;
    return run.tasks.every(({ state }) => state === "completed") ? "completed" : "failed";
  }
}

export function isReady({ state }: ModelTask): boolean {
  return state === "queued" || state === "running";
}

/** Whether it has not ended. */
export function isOpen(task: ModelTask): boolean {
  return task.state === "waiting" || task.state === "backoff" || isReady(task);
}

function sleep(task: ModelTask): void {
  task.state = "backoff";
  task.place = "timer";
}

function sorted(tasks: ModelTask[]): ModelTask[] {
  return tasks.toSorted((left, right) => (left.id < right.id ? -1 : 1));
}
