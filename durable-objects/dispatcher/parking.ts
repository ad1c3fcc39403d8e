/**
 * Makes room in a crowded window: lanes that wait for a limit, or for a worker that is not there, wait in
 * the queue meanwhile. What each needs stays here, so that it has its turn as if it were; when it could
 * start, it is fetched. Otherwise what can't start would fill the window, and what could start would
 * wait outside: for ever, if the one waits for the other.
 */
import type { ReadyTask } from "./lane.ts";
import { MAX_PARK, MAX_WINDOW, MAX_WINDOW_BYTES } from "./limits.ts";
import type { Permits } from "./permits.ts";
import type { ReadyWindow } from "./window.ts";

/**
 * This part of the window stays for tasks that only wait until a worker of their action has a slot. Of all
 * actions together: whatever stays must leave room for what has its turn.
 */
const KEPT = 1 / 8;

/** The tasks that are to go back to the queue. */
export function park(window: ReadyWindow, permits: Permits): ReadyTask[] {
  const parked: ReadyTask[] = [];
  const kept = { tasks: 0, bytes: 0 };
  for (const lane of window.lanes()) {
    if (window.isRoomy || parked.length >= MAX_PARK) break;
    if (lane.standing !== "blocked" || lane.length === 0 || lane.isTaking) continue;
    if (lane.blockedOn === `slot ${lane.action}`) {
      kept.tasks += lane.length;
      for (const { bytes } of lane.tasks()) kept.bytes += bytes;
      if (kept.tasks <= MAX_WINDOW * KEPT && kept.bytes <= MAX_WINDOW_BYTES * KEPT) continue;
    }
    // Before they go: whoever hears of that finds what the lane waits with from now on.
    lane.parked = lane.first && standInFor(lane.first, permits);
    parked.push(...window.empty(lane));
  }
  return parked;
}

/**
 * What it needs, and not what its worker is to be given. It may be cancelled while it is in the queue, and then
 * speaks for those behind it: so it needs nothing that its run holds now, which they don't wait for either.
 */
function standInFor(task: ReadyTask, permits: Permits): ReadyTask {
  const waitedFor = task.needs.needs.filter(
    ({ isOfRun, id }) => !isOfRun || !permits.has(id, task.run),
  );
  const needs = { ...task.needs, needs: waitedFor };
  return { ...task, needs, input: null, metadata: {}, parents: {}, bytes: 0 };
}
