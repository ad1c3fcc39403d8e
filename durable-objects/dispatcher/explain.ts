/**
 * Why a task in the window is not running, and how a limit is used: read from the scheduler's own state,
 * never guessed.
 */
import type { LaneRow } from "../../database/rows.ts";
import type {
  LimitHolder,
  LimitKeyState,
  LinePosition,
  ReturnNeed,
  WaitReason,
} from "../../protocol/limit-bodies.ts";
import type { Lane, ReadyTask } from "./lane.ts";
import type { Lease } from "./leases.ts";
import { boundOf, type Need } from "./needs.ts";
import { type CountId, type Holder, partsOf } from "./permits.ts";
import type { ReturnObstacle } from "./returns.ts";
import { suits } from "./roster.ts";
import { holderOf, runOfHolder, type SchedulerParts } from "./scheduler.ts";

/** Holders that one answer names. */
const MAX_HOLDERS = 20;

/** Undefined: the task is not in the window. */
export function explain(task: string, parts: SchedulerParts, now: number): WaitReason | undefined {
  const lane = parts.window.laneOf(task);
  if (lane === undefined) return undefined;
  const found = [...lane.tasks()].find(({ id }) => id === task);
  if (found === undefined) return undefined;
  const line = positionOf(task, lane, parts);
  return ofLimits(found, line, parts, now) ?? ofWorkers(found, line, parts) ?? { kind: "next" };
}

/** What a worker that has a task is at. */
export function explainAttempt(lease: Lease, parts: SchedulerParts, now: number): WaitReason {
  const worker = parts.roster.find(lease.session)?.worker ?? null;
  const of = { worker, since: new Date(lease.sentAt).toISOString() };
  if (lease.leftMs === undefined) return { kind: "running", ...of };
  if (!parts.returns.has(lease)) return { kind: "children", ...of };
  return { kind: "returning", ...of, needs: needOf(parts.returns.obstacleOf(lease, parts, now)) };
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
): WaitReason | undefined {
  const lane = parts.window.find(row);
  const first = lane?.next;
  if (lane === undefined || first === undefined) return undefined;
  const length = lane.length + 1;
  const line = { position: length, length, isExact: !lane.hasBacklog };
  return ofLimits(first, line, parts, now) ?? ofWorkers(first, line, parts);
}

/** The keys of a limit, those with most waiting first, that are held, have been taken from, or are waited for. */
export function keysOf(limit: string, parts: SchedulerParts, now: number): LimitKeyState[] {
  const { permits, returns, buckets, book, window } = parts;
  const waiting = new Map<CountId, number>();
  for (const id of returns.ids()) waiting.set(id, returns.claims(id));
  const needs = new Map<CountId, Need>();
  for (const lane of window.lanes()) {
    for (const need of lane.next?.needs.needs ?? []) {
      if (need.limit !== limit) continue;
      needs.set(need.id, need);
      if (lane.blockedOn === need.id)
        waiting.set(need.id, (waiting.get(need.id) ?? 0) + lane.length);
    }
  }
  const ids = new Set(
    [...permits.ids(), ...returns.ids(), ...buckets.ids(), ...needs.keys()].filter(
      (id) => partsOf(id).limit === limit,
    ),
  );
  const states = [...ids].map((id) => {
    const { key } = partsOf(id);
    const need = needs.get(id);
    const bound = need === undefined ? book.boundOf(limit, key) : boundOf(need, book);
    const bucket = buckets.find(id);
    const { concurrency, rate } = bound ?? {};
    return {
      key,
      waiting: waiting.get(id) ?? 0,
      ...(concurrency !== undefined && {
        held: permits.count(id),
        limit: concurrency,
        holders: holdersOf(id, parts),
      }),
      ...(rate !== undefined && { available: buckets.available(id, rate, now) }),
      ...(bucket !== undefined &&
        bucket.pausedUntil > now && { pausedUntil: new Date(bucket.pausedUntil).toISOString() }),
    };
  });
  return states.toSorted(
    (a, b) => b.waiting - a.waiting || (b.held ?? 0) - (a.held ?? 0) || (a.key < b.key ? -1 : 1),
  );
}

/** The first of its limits that has nothing for it. */
function ofLimits(
  task: ReadyTask,
  line: LinePosition,
  parts: SchedulerParts,
  now: number,
): WaitReason | undefined {
  const { permits, returns, buckets, book, turns } = parts;
  const lane = parts.window.laneOf(task.id);
  for (const need of task.needs.needs) {
    const { concurrency, rate } = boundOf(need, book) ?? {};
    if (permits.has(need.id, holderOf(need, task))) continue;
    const { limit, key, units } = need;
    const isInLine =
      lane !== undefined && (lane.blockedOn === need.id || turns.isWaitedFor(need.id, lane));
    if (
      concurrency !== undefined &&
      (permits.count(need.id) + returns.claims(need.id) >= concurrency || isInLine)
    ) {
      const held = permits.count(need.id);
      const holders = holdersOf(need.id, parts);
      return { kind: "concurrency", limit, key, held, bound: concurrency, holders, line };
    }
    if (rate === undefined) continue;
    const at = buckets.availableAt(need.id, rate, units, now);
    if (at <= now && !isInLine) continue;
    const isPaused = (buckets.find(need.id)?.pausedUntil ?? 0) > now;
    const availableAt = new Date(Math.max(at, now)).toISOString();
    return { kind: "rate", limit, key, units, availableAt, isPaused, line };
  }
  return undefined;
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

function holdersOf(id: CountId, { permits }: SchedulerParts): LimitHolder[] {
  return [...permits.holdersOf(id)].slice(0, MAX_HOLDERS).map(shown);
}

function shown(holder: Holder): LimitHolder {
  const run = runOfHolder(holder);
  const [task, attempt] = holder.split("/");
  return attempt === undefined || task === undefined
    ? { run }
    : { run, task, attempt: Number(attempt) };
}
