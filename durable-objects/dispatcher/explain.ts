/**
 * Why a task in the window is not running: read from the scheduler's own state, never guessed. What other shards
 * know of a limit that it waits for is added to it (`limit-uses.ts`).
 */
import type { LaneRow } from "../../database/rows.ts";
import type { LinePosition, ReturnNeed, WaitReason } from "../../protocol/limit-bodies.ts";
import type { Lane, ReadyTask } from "./lane.ts";
import type { Lease } from "./leases.ts";
import { heldHere, type UseQuestion } from "./limit-uses.ts";
import { boundOf, type Need, type Placing } from "./needs.ts";
import type { Obstacle } from "./obstacles.ts";
import { partsOf } from "./permits.ts";
import type { ReturnObstacle } from "./returns.ts";
import { type Session, suits } from "./roster.ts";
import { holderOf, obstacleOfNeed, type SchedulerParts } from "./scheduler.ts";

/** As far as is known here. */
export interface Explained {
  reason: WaitReason;
  /** The limit that it names. */
  need?: UseQuestion;
  /** What no worker that is here can take: one of another shard may. */
  serving?: ServingQuestion;
}

/** Whether a worker of a shard could take such a task. */
export interface ServingQuestion {
  action: string;
  /** Undefined: of the action nothing else is known. */
  placing: Placing | undefined;
}

/** Undefined: the task is not in the window. */
export function explain(task: string, parts: SchedulerParts, now: number): Explained | undefined {
  const lane = parts.window.laneOf(task);
  if (lane === undefined) return undefined;
  const found = [...lane.tasks()].find(({ id }) => id === task);
  if (found === undefined) return undefined;
  const line = positionOf(task, lane, parts);
  const ofLimit = ofLimits(found, lane, line, parts, now);
  return (
    ofLimit ?? explainedBy(ofWorkers(found, line, parts), found) ?? { reason: { kind: "next" } }
  );
}

function explainedBy(
  reason: WaitReason | undefined,
  { action, needs: { placing } }: ReadyTask,
): Explained | undefined {
  if (reason?.kind !== "no_worker") return reason && { reason };
  return { reason, serving: { action, placing } };
}

/** Whether a worker that is here takes tasks, and could have such a one. */
export function serves({ action, placing }: ServingQuestion, { roster }: SchedulerParts): boolean {
  return [...roster.offering(action)].some(
    (session) =>
      session.isTaking &&
      (placing === undefined || (suits(session, placing) && hasSlots(session, placing))),
  );
}

/** A worker that divides its slots may give all of them to a shard. */
function hasSlots({ of, slots }: Session, placing: Placing): boolean {
  return (of ?? slots) >= placing.slots;
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

/**
 * Why a task that came to this lane now would not run. Undefined: the lane has nothing in memory, and there are workers
 * of its action.
 */
export function explainLane(
  row: LaneRow,
  parts: SchedulerParts,
  now: number,
): Explained | undefined {
  const lane = parts.window.find(row);
  const first = lane?.next;
  if (lane === undefined || first === undefined) {
    if (parts.roster.isServed(row.action)) return undefined;
    const { action } = row;
    const reason = noWorker(action, { position: 1, length: 1, isExact: false });
    return { reason, serving: { action, placing: undefined } };
  }
  const length = lane.length + 1;
  const line = { position: length, length, isExact: !lane.hasBacklog };
  const ofLimit = ofLimits(first, lane, line, parts, now);
  if (ofLimit !== undefined) return ofLimit;
  return explainedBy(ofWorkers(first, line, parts), first);
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
  if (offering.length === 0) return noWorker(action, line);
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
  const large = suited.filter((session) => hasSlots(session, placing));
  if (large.length === 0) {
    const detail = `it takes ${placing.slots} slots, more than any of them has`;
    return { kind: "no_worker", action, detail, line };
  }
  if (large.some(({ freeSlots }) => freeSlots >= placing.slots)) return undefined;
  const used = large.reduce((sum, { usedSlots }) => sum + usedSlots, 0);
  const slots = large.reduce((sum, session) => sum + session.slots, 0);
  return { kind: "no_free_slot", action, used, slots, line };
}

function noWorker(action: string, line: LinePosition): WaitReason {
  return { kind: "no_worker", action, detail: "none that takes tasks offers it", line };
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
