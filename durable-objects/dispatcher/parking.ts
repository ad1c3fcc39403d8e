/**
 * Makes room in a crowded window: lanes that wait for a limit, or for a worker that is not there, wait in
 * the queue meanwhile. What each needs stays here, so that it has its turn as if it were; when it could
 * start, it is fetched. Otherwise what can't start would fill the window, and what could start would
 * wait outside: for ever, if the one waits for the other.
 */
import type { Lane, ReadyTask } from "./lane.ts";
import { MAX_PARK, MAX_WINDOW } from "./limits.ts";
import type { ReadyWindow } from "./window.ts";

/** Of the tasks that only wait until any worker of their action has a slot, this part of the window stays. */
const KEPT = 1 / 8;

/** The tasks that are to go back to the queue. */
export function park(window: ReadyWindow): ReadyTask[] {
  const parked: ReadyTask[] = [];
  const kept = new Map<string, number>();
  for (const lane of window.lanes()) {
    if (window.isRoomy || parked.length >= MAX_PARK) break;
    if (!isParkable(lane, kept)) continue;
    const tasks = window.empty(lane);
    lane.parked = tasks[0] && withoutPayload(tasks[0]);
    parked.push(...tasks);
  }
  return parked;
}

function isParkable(lane: Lane, kept: Map<string, number>): boolean {
  const { action, blockedOn, standing, length, isTaking } = lane;
  if (standing !== "blocked" || length === 0 || isTaking) return false;
  if (blockedOn !== `slot ${action}`) return true;
  const count = (kept.get(action) ?? 0) + length;
  kept.set(action, count);
  return count > MAX_WINDOW * KEPT;
}

/** What it needs, and not what its worker is to be given. */
function withoutPayload(task: ReadyTask): ReadyTask {
  return { ...task, input: null, metadata: {}, parents: {}, bytes: 0 };
}
