/**
 * Why a task in the window is not running: read from the scheduler's own state, never guessed. What other shards
 * know of a limit that it waits for is added to it (`limit-uses.ts`).
 */
import type { LaneRow } from "../../database/rows.ts";
import type { LinePosition, ReturnNeed, WaitReason } from "../../protocol/limit-bodies.ts";
import type { Lane, ReadyTask } from "./lane.ts";
import type { Lease } from "./leases.ts";
import { heldHere, type UseQuestion } from "./limit-uses.ts";
import { boundOf, type Need } from "./needs.ts";
import type { Obstacle } from "./obstacles.ts";
import { partsOf } from "./permits.ts";
import type { ReturnObstacle } from "./returns.ts";
import { suits } from "./roster.ts";
import { holderOf, obstacleOfNeed, type SchedulerParts } from "./scheduler.ts";

/** As far as is known here. */
export interface Explained {
  reason: WaitReason;
  /** The limit that it names. */
  need?: UseQuestion;
}

/** Undefined: the task is not in the window. */
export function explain(task: string, parts: SchedulerParts, now: number): Explained | undefined {
  const lane = parts.window.laneOf(task);
  if (lane === undefined) return undefined;
  const found = [...lane.tasks()].find(({ id }) => id === task);
  if (found === undefined) return undefined;
  const line = positionOf(task, lane, parts);
  const ofLimit = ofLimits(found, lane, line, parts, now);
  return ofLimit ?? { reason: ofWorkers(found, line, parts) ?? { kind: "next" } };
}

/** What a worker that has a task is at. */
export function explainAttempt(lease: Lease, parts: SchedulerParts, now: number): Explained {
  const worker = parts.roster.find(lease.session)?.worker ?? null;
  const of = { worker, since: new Date(lease.sentAt).toISOString() };
  if (lease.leftMs === undefined) return { reason: { kind: "running", ...of } };
  if (!parts.returns.has(lease)) return { reason: { kind: "children", ...of } };
  const obstacle = parts.returns.obstacleOf(lease, parts, now);
  return {
    reason: { kind: "returning", ...of, needs: needOf(obstacle) },
    ...(obstacle?.on === "limit" && { need: { id: obstacle.id, units: 0 } }),
  };
}

function needOf(obstacle: ReturnObstacle | undefined): ReturnNeed {
  switch (obstacle?.on) {
    case "limit": {
      const { id, held, bound } = obstacle;
      return { of: "limit", ...partsOf(id), held, bound };
    }
    case "slots":
    case "connection":
      return { of: obstacle.on };
    case "recovery":
    case undefined:
      return { of: "nothing" };
  }
}

/** Why a task that came to this lane now would not run. Undefined: the lane has nothing in memory. */
export function explainLane(
  row: LaneRow,
  parts: SchedulerParts,
  now: number,
): Explained | undefined {
  const lane = parts.window.find(row);
  const first = lane?.next;
  if (lane === undefined || first === undefined) return undefined;
  const length = lane.length + 1;
  const line = { position: length, length, isExact: !lane.hasBacklog };
  const ofLimit = ofLimits(first, lane, line, parts, now);
  if (ofLimit !== undefined) return ofLimit;
  const reason = ofWorkers(first, line, parts);
  return reason && { reason };
}

/** The first of its limits that it can't have now, by what the scheduler itself asks. */
function ofLimits(
  task: ReadyTask,
  lane: Lane,
  line: LinePosition,
  parts: SchedulerParts,
  now: number,
): Explained | undefined {
  for (const need of task.needs.needs) {
    const obstacle =
      obstacleOfNeed(need, task, lane, parts, now) ?? behindOthers(need, task, lane, parts);
    if (obstacle !== undefined) return ofLimit(obstacle, line, parts, now);
  }
  return undefined;
}

/** There would be enough for it; its lane waits for more of it than that. */
function behindOthers(
  need: Need,
  task: ReadyTask,
  lane: Lane,
  { permits, book }: SchedulerParts,
): Obstacle | undefined {
  const bound = boundOf(need, book);
  if (bound === undefined || lane.blockedOn !== need.id) return undefined;
  if (permits.has(need.id, holderOf(need, task))) return undefined;
  return { need, of: bound.concurrency === undefined ? "rate" : "concurrency", isFull: false };
}

/** What is known of it here. */
function ofLimit(
  { need, of, at = 0 }: Obstacle,
  line: LinePosition,
  parts: SchedulerParts,
  now: number,
): Explained {
  const { limit, key, units, id } = need;
  if (of === "concurrency") {
    const { count: held, holders } = heldHere(id, parts);
    const bound = boundOf(need, parts.book)?.concurrency ?? 0;
    return { reason: { kind: of, limit, key, held, bound, holders, line }, need };
  }
  const isPaused = (parts.borrowing.find(id)?.record.pausedUntil ?? 0) > now;
  const availableAt = new Date(Math.max(at, now)).toISOString();
  return { reason: { kind: of, limit, key, units, availableAt, isPaused, line }, need };
}

function ofWorkers(
  { action, needs: { placing } }: ReadyTask,
  line: LinePosition,
  { roster }: SchedulerParts,
): WaitReason | undefined {
  const offering = [...roster.offering(action)].filter(({ isTaking }) => isTaking);
  if (offering.length === 0) {
    return { kind: "no_worker", action, detail: "none that takes tasks offers it", line };
  }
  const { pinnedTo } = placing;
  const built = offering.filter(
    ({ versions }) => pinnedTo === undefined || versions.has(pinnedTo.version),
  );
  if (built.length === 0) {
    const detail = `its workflow is pinned, and none that offers it was built with ${pinnedTo?.title}`;
    return { kind: "no_worker", action, detail, line };
  }
  const suited = built.filter((session) => suits(session, placing));
  if (suited.length === 0) {
    const isTied = placing.sticky === "hard" && placing.worker !== undefined;
    const detail = isTied
      ? `its run stays with worker "${placing.worker}", which is not there or takes no tasks`
      : "none that offers it has the labels that it requires";
    return { kind: "no_worker", action, detail, line };
  }
  const large = suited.filter(({ slots }) => slots >= placing.slots);
  if (large.length === 0) {
    const detail = `it takes ${placing.slots} slots, more than any of them has`;
    return { kind: "no_worker", action, detail, line };
  }
  if (large.some(({ freeSlots }) => freeSlots >= placing.slots)) return undefined;
  const used = large.reduce((sum, { usedSlots }) => sum + usedSlots, 0);
  const slots = large.reduce((sum, session) => sum + session.slots, 0);
  return { kind: "no_free_slot", action, used, slots, line };
}

/**
 * Among the tasks that wait for the same, and no later than it can be. Lanes take turns by their weights,
 * so of each lane that comes before its own one task is sure to be earlier.
 */
function positionOf(task: string, lane: Lane, { turns }: SchedulerParts): LinePosition {
  let before = 0;
  for (const { id } of lane.tasks()) {
    if (id === task) break;
    before++;
  }
  const line = { position: before + 1, length: lane.length, isExact: !lane.hasBacklog };
  if (lane.blockedOn === undefined) return line;
  const others = turns.waitingFor(lane.blockedOn).filter((other) => other !== lane);
  if (others.length === 0) return line;
  return {
    position: line.position + turns.aheadOf(lane).length,
    length: others.reduce((sum, { length }) => sum + length, line.length),
    isExact: false,
  };
}
