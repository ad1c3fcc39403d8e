/**
 * Decides which ready task goes to which session now. It takes all that a task needs in one step: slots
 * on a session that fits, every permit, every unit; or nothing. Sending is its caller's affair.
 */
import { runIdOf } from "../../protocol/ids.ts";
import type { Backlog } from "./backlog.ts";
import type { Buckets } from "./buckets.ts";
import type { Lane, ReadyTask } from "./lane.ts";
import { leaseKey } from "./leases.ts";
import type { LimitBook } from "./limit-book.ts";
import { boundOf, laneOf, type Need } from "./needs.ts";
import type { Holder, Permits } from "./permits.ts";
import type { Roster, Session } from "./roster.ts";
import { costOfUnits } from "./shares.ts";
import type { Turns } from "./turns.ts";
import type { ReadyWindow } from "./window.ts";

export interface SchedulerParts {
  window: ReadyWindow;
  backlog: Backlog;
  turns: Turns;
  roster: Roster;
  permits: Permits;
  buckets: Buckets;
  book: LimitBook;
}

export interface Placement {
  task: ReadyTask;
  session: Session;
  /** The lane that has paid for it, and what. */
  lane: Lane;
  cost: number;
  /** Whether the run has taken permits of its own with it. */
  isRunHolding: boolean;
}

/** A run that has to go because a limit is full and its strategy says so. */
export interface Eviction {
  run: string;
  need: Need;
  /** The task that found it full. */
  task: ReadyTask;
  /** Whether it is that task's own run, or that of the one that held the permit. */
  isOwn: boolean;
}

export interface Scheduled {
  placements: Placement[];
  evictions: Eviction[];
}

/** What stands in a task's way, and when it no longer will, if that is known. */
interface Obstacle {
  need: Need;
  at?: number;
}

export function schedule(parts: SchedulerParts, now: number): Scheduled {
  const { turns, roster, permits } = parts;
  const scheduled: Scheduled = { placements: [], evictions: [] };
  for (const id of permits.takeFreed()) turns.open(id);
  for (const session of roster.takeFreed()) turns.openSlots(session.actions);
  turns.openDue(now);
  for (let lane = turns.next(); lane !== undefined; lane = turns.next()) {
    serve(lane, parts, scheduled, now);
    parts.backlog.watch(lane);
    parts.window.forget(lane);
  }
  return scheduled;
}

/** Starts the lane's first task, or has the lane wait for what stands in its way. */
function serve(lane: Lane, parts: SchedulerParts, scheduled: Scheduled, now: number): void {
  const { window, turns } = parts;
  const task = lane.first;
  if (task === undefined) return turns.leave(lane);
  const obstacle = obstacleOf(task, lane, parts, now);
  if (obstacle === undefined) {
    const session = parts.roster.choose(task);
    if (session === undefined) {
      return turns.blockOnSlot(lane, parts.roster.hasFreeSlot(task.action));
    }
    window.shift(lane);
    const isRunHolding = take(task, session, parts, now);
    if (isRunHolding) freeRest(task.run, parts);
    const cost = costOf(task, parts);
    scheduled.placements.push({ task, session, lane, cost, isRunHolding });
    return turns.pay(lane, cost);
  }
  const { need } = obstacle;
  if (need.strategy === "cancel-newest" && obstacle.at === undefined) {
    window.shift(lane);
    scheduled.evictions.push({ run: task.run, need, task, isOwn: true });
    return turns.pay(lane, 0);
  }
  if (need.strategy === "cancel-in-progress" && obstacle.at === undefined) {
    if (lane.length > boundOfPermits(need, parts)) {
      window.shift(lane); // a newer one waits behind it
      scheduled.evictions.push({ run: task.run, need, task, isOwn: true });
      return turns.pay(lane, 0);
    }
    const [oldest] = parts.permits.holdersOf(need.id);
    if (oldest !== undefined) {
      scheduled.evictions.push({ run: runOfHolder(oldest), need, task, isOwn: false });
    }
  }
  turns.block(lane, need.id, obstacle.at);
}

/** The first thing that the task needs and can't have now, but a slot. */
function obstacleOf(
  task: ReadyTask,
  lane: Lane,
  { permits, buckets, book, turns }: SchedulerParts,
  now: number,
): Obstacle | undefined {
  for (const need of task.needs.needs) {
    const bound = boundOf(need, book);
    if (bound === undefined || permits.has(need.id, holderOf(need, task))) continue;
    const { concurrency, rate } = bound;
    if ((concurrency ?? rate) !== undefined && permits.closedUntil > now) {
      return { need, at: permits.closedUntil };
    }
    if (concurrency !== undefined) {
      if (permits.count(need.id) >= concurrency) return { need };
      if (turns.isWaitedFor(need.id, lane)) return { need };
    }
    if (rate !== undefined) {
      const at = buckets.availableAt(need.id, rate, need.units, now);
      if (at > now || turns.isWaitedFor(need.id, lane)) return { need, at: Math.max(at, now) };
    }
  }
  return undefined;
}

function take(
  task: ReadyTask,
  session: Session,
  { permits, buckets, book }: SchedulerParts,
  now: number,
): boolean {
  let isRunHolding = false;
  for (const need of task.needs.needs) {
    const bound = boundOf(need, book);
    const holder = holderOf(need, task);
    if (bound === undefined || permits.has(need.id, holder)) continue;
    if (bound.rate !== undefined) buckets.take(need.id, bound.rate, need.units, now);
    if (bound.concurrency === undefined && !need.isOfRun) continue;
    // Of a run's rate as well: what it has paid once, it need not pay again.
    permits.take(need.id, holder);
    isRunHolding ||= need.isOfRun;
  }
  session.hold(leaseKey({ task: task.id, attempt: task.attempt }), task.needs.placing.slots);
  return isRunHolding;
}

/** A run's other tasks leave the lines of those that wait for what it holds now. */
function freeRest(run: string, { window, turns, permits }: SchedulerParts): void {
  if (!window.hasLimited(run)) return;
  for (const task of window.remove((other) => other.run === run)) {
    const lane = laneOf(task.needs, (id) => permits.has(id, run));
    const moved = window.add({ ...task, needs: { ...task.needs, lane } });
    if (moved) turns.join(moved);
  }
}

export function holderOf(
  { isOfRun }: Need,
  task: Pick<ReadyTask, "id" | "run" | "attempt">,
): Holder {
  return isOfRun ? task.run : leaseKey({ task: task.id, attempt: task.attempt });
}

export function runOfHolder(holder: Holder): string {
  const [task = holder] = holder.split("/");
  return runIdOf(task);
}

function boundOfPermits(need: Need, { book }: SchedulerParts): number {
  return boundOf(need, book)?.concurrency ?? Number.POSITIVE_INFINITY;
}

/** What a task takes of its lane's share: units, or without a rate its slots. */
function costOf({ needs: { needs, placing } }: ReadyTask, { book }: SchedulerParts): number {
  const taken = needs.map((need) => ({ units: need.units, rate: boundOf(need, book)?.rate ?? [] }));
  const cost = costOfUnits(taken);
  return cost > 0 ? cost : placing.slots;
}
