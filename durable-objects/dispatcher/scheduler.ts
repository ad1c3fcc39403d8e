/**
 * Decides which ready task goes to which session now. Pure: it reads the window and the roster and
 * takes from both; sending is its caller's affair. Tasks start in the order in which they came;
 * one that nobody can take does not hold up the others.
 */
import { leaseKey } from "./leases.ts";
import type { Roster, Session } from "./roster.ts";
import type { ReadyTask, ReadyWindow } from "./window.ts";

export interface Placement {
  task: ReadyTask;
  session: Session;
}

export function place(window: ReadyWindow, roster: Roster): Placement[] {
  const placements: Placement[] = [];
  const actions = new Set(window.waitingActions());
  for (;;) {
    const action = oldest(window, actions);
    if (action === undefined) return placements;
    const session = roster.mostFree(action);
    const task = session && window.shift(action);
    if (session === undefined || task === undefined) {
      actions.delete(action); // slots only get fewer while we place
      continue;
    }
    session.hold(leaseKey({ task: task.id, attempt: task.attempt }));
    placements.push({ task, session });
  }
}

/** The action whose first task came first. */
function oldest(window: ReadyWindow, actions: Set<string>): string | undefined {
  let found: string | undefined;
  let first: ReadyTask | undefined;
  for (const action of actions) {
    const task = window.peek(action);
    if (task === undefined) actions.delete(action);
    else if (first === undefined || isBefore(task, first)) [found, first] = [action, task];
  }
  return found;
}

function isBefore(a: ReadyTask, b: ReadyTask): boolean {
  return a.queuedAt < b.queuedAt || (a.queuedAt === b.queuedAt && a.id < b.id);
}
