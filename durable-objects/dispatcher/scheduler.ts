/**
 * Decides which ready task goes to which session now. It takes all that a task needs in one step: slots
 * on a session that fits, every permit, every unit; or nothing. Sending is its caller's affair.
 */
import { runIdOf } from "../../protocol/ids.ts";
import type { Backlog } from "./backlog.ts";
import type { Buckets } from "./buckets.ts";
import type { Lane, ReadyTask } from "./lane.ts";
import { type Lease, leaseKey } from "./leases.ts";
import type { LimitBook } from "./limit-book.ts";
import { boundOf, laneOf, type Need } from "./needs.ts";
import { park } from "./parking.ts";
import type { CountId, Holder, Permits } from "./permits.ts";
import type { Returns } from "./returns.ts";
import type { Roster, Session } from "./roster.ts";
import { costOfUnits } from "./shares.ts";
import type { Turns } from "./turns.ts";
import type { ReadyWindow } from "./window.ts";

export interface SchedulerParts {
  window: ReadyWindow;
  backlog: Backlog;
  turns: Turns;
  returns: Returns;
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
  /** What the run has taken with it, for all its tasks. */
  ofRun: CountId[];
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
  /** Attempts that go on after a wait. */
  returned: Lease[];
  placements: Placement[];
  evictions: Eviction[];
  /** Tasks that are to wait in the queue, because the window is crowded. */
  parked: ReadyTask[];
}

/** What stands in a task's way, and when it no longer will, if that is known. */
interface Obstacle {
  need: Need;
  at?: number;
}

export function schedule(parts: SchedulerParts, now: number): Scheduled {
  const { turns, returns, roster, permits } = parts;
  for (const id of permits.takeFreed()) {
    returns.open(id);
    turns.open(id);
  }
  for (const session of roster.takeFreed()) {
    returns.openSession(session.id);
    turns.openSlots(session.actions);
  }
  turns.openDue(now);
  for (const lane of parts.backlog.giveUp((action) => roster.isServed(action))) turns.leave(lane);
  const returned = returns.grant(parts, now);
  const scheduled: Scheduled = { returned, placements: [], evictions: [], parked: [] };
  for (let lane = turns.next(); lane !== undefined; lane = turns.next()) {
    serve(lane, parts, scheduled, now);
    parts.backlog.watch(lane);
    parts.window.forget(lane);
  }
  if (parts.window.takeLitter()) turns.sweep();
  for (const lane of turns.takeDismissed()) parts.window.forget(lane);
  if (parts.window.isCrowded) scheduled.parked = park(parts.window, permits);
  return scheduled;
}

/** Starts the lane's first task, or has the lane wait for what stands in its way. */
function serve(lane: Lane, parts: SchedulerParts, scheduled: Scheduled, now: number): void {
  const { window, turns } = parts;
  const task = lane.next;
  if (task === undefined) return turns.leave(lane);
  const obstacle = obstacleOf(task, lane, parts, now);
  if (obstacle === undefined) {
    const session = parts.roster.choose(task);
    if (session === undefined) {
      return turns.blockOnSlot(lane, parts.roster.hasFreeSlot(task.action));
    }
    if (lane.first === undefined) return bringIn(lane, parts);
    window.shift(lane);
    const ofRun = take(task, session, parts, now);
    if (ofRun.length > 0) freeRest(task.run, parts);
    const cost = costOf(task, parts);
    scheduled.placements.push({ task, session, lane, cost, ofRun });
    return turns.pay(lane, cost);
  }
  const { need } = obstacle;
  if (need.strategy === "cancel-newest" && obstacle.at === undefined) {
    if (lane.first === undefined) return bringIn(lane, parts);
    window.shift(lane);
    scheduled.evictions.push({ run: task.run, need, task, isOwn: true });
    return turns.pay(lane, 0);
  }
  if (need.strategy === "cancel-in-progress" && obstacle.at === undefined) {
    // In the queue it may be gone: nobody is cancelled for it before it is here.
    if (lane.first === undefined) return bringIn(lane, parts);
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

/** Its task is in the queue, and could start. It keeps its turn: others are not asked until it is here. */
function bringIn(lane: Lane, { backlog }: SchedulerParts): void {
  lane.parked = undefined;
  backlog.want(lane);
}

/** The first thing that the task needs and can't have now, but a slot. */
function obstacleOf(
  task: ReadyTask,
  lane: Lane,
  { permits, returns, buckets, book, turns }: SchedulerParts,
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
      if (permits.count(need.id) + returns.claims(need.id) >= concurrency) return { need };
      if (turns.isWaitedFor(need.id, lane)) return { need };
    }
    if (rate !== undefined) {
      const at = buckets.availableAt(need.id, rate, need.units, now);
      if (at > now || turns.isWaitedFor(need.id, lane)) return { need, at: Math.max(at, now) };
    }
  }
  return undefined;
}

/** What the run has taken of it. */
function take(
  task: ReadyTask,
  session: Session,
  { permits, buckets, book }: SchedulerParts,
  now: number,
): CountId[] {
  const ofRun: CountId[] = [];
  for (const need of task.needs.needs) {
    const bound = boundOf(need, book);
    const holder = holderOf(need, task);
    if (bound === undefined || permits.has(need.id, holder)) continue;
    if (bound.rate !== undefined) buckets.take(need.id, bound.rate, need.units, now);
    if (bound.concurrency === undefined && !need.isOfRun) continue;
    // Of a run's rate as well: what it has paid once, it need not pay again.
    permits.take(need.id, holder);
    if (need.isOfRun) ofRun.push(need.id);
  }
  session.hold(leaseKey({ task: task.id, attempt: task.attempt }), task.needs.placing.slots);
  return ofRun;
}

/** A run's other tasks leave the lines of those that wait for what it holds now. */
function freeRest(run: string, { window, turns, permits }: SchedulerParts): void {
  for (const task of window.removeLimited(run)) {
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
