/**
 * What a check is given and what it gives. A check holds one promise against what really happened;
 * what it returns are sentences that each name a broken promise with its evidence.
 */
import { FINISHED_TASK_STATES, type TaskState } from "../../../protocol/states.ts";
import type { History } from "../history.ts";
import type { Recorded, RecordedRun, RecordedStep, RecordedTask } from "../record.ts";
import type { Scenario } from "../scenario.ts";
import type { Rest } from "../rest.ts";
import type { ClientProcess } from "../client-process.ts";
import type { WorkerProcess } from "../worker-process.ts";

export interface Evidence {
  scenario: Scenario;
  history: History;
  recorded: Recorded;
  workers: WorkerProcess[];
  clients: ClientProcess[];
  /** Undefined when not everything came to its end. */
  rest: Rest | undefined;
  /** When faults stopped. */
  calmAt: number;
  /** A moment as a text. */
  at: (moment: number) => string;
}

export interface Check {
  /** The promise, as a sentence. */
  name: string;
  find: (evidence: Evidence) => string[];
}

/** A task with the step that it executes. */
export interface TaskOfStep extends RecordedTask {
  plan: RecordedStep;
  ofRun: RecordedRun;
}

export function tasksOf({ recorded }: Evidence): TaskOfStep[] {
  const steps = new Map(recorded.steps.map((step) => [`${step.version}/${step.step}`, step]));
  return recorded.runs.flatMap((ofRun) =>
    ofRun.tasks.flatMap((task) => {
      const plan = steps.get(`${ofRun.version}/${task.step}`);
      return plan === undefined ? [] : [{ ...task, plan, ofRun }];
    }),
  );
}

/** Versions of a workflow: actions are named after it. */
export function versionsOf(workflow: string, steps: readonly RecordedStep[]): string[] {
  const own = steps.filter(({ action }) => action.startsWith(`${workflow}:`));
  return [...new Set(own.map(({ version }) => version))];
}

export function isFinishedTask(state: TaskState): boolean {
  return FINISHED_TASK_STATES.some((one) => one === state);
}

/** Whether two values are the same JSON. */
export function isSame(one: unknown, other: unknown): boolean {
  return sorted(one) === sorted(other);
}

function sorted(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === "object" && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}
