/**
 * Decides which ready task goes to which session now. It takes all that a task needs in one step: slots
 * on a session that fits, every permit, every unit; or nothing. Sending is its caller's affair.
 */
import type { Backlog } from "./backlog.ts";
import type { Buckets } from "./buckets.ts";
import { runOfHolder } from "./holders.ts";
import type { Lane, ReadyTask } from "./lane.ts";
import { type Lease, leaseKey } from "./leases.ts";
import type { Borrowing } from "./borrowing.ts";
import type { Lending } from "./lending.ts";
import { LoanLane } from "./lent.ts";
import type { LimitBook } from "./limit-book.ts";
import { boundOf, laneOf, type Need } from "./needs.ts";
import { askForMissing, type Obstacle, obstacleElsewhere, obstacleHere } from "./obstacles.ts";
import type { Ownership } from "./ownership.ts";
import { park } from "./parking.ts";
import type { CountId, Holder, Permits } from "./permits.ts";
import type { Returns } from "./returns.ts";
import type { Roster, Session } from "./roster.ts";
import { costOfUnits } from "./shares.ts";
import { heldLine, type Turns } from "./turns.ts";
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
  ownership: Ownership;
  borrowing: Borrowing;
  lending: Lending;
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
  /** The task that found it full; undefined: it is at another shard. */
  task: ReadyTask | undefined;
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

export function schedule(parts: SchedulerParts, now: number): Scheduled {
  const { turns, returns, roster, permits, lending, borrowing } = parts;
  lending.expire(permits, turns, now);
  for (const id of permits.takeFreed()) {
    borrowing.hold(id, permits.count(id), now);
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
    if (lane instanceof LoanLane) {
      serveShard(lane, parts, scheduled, now);
      continue;
    }
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
  const { need, isFull } = obstacle;
  askForMissing(obstacle, parts, now);
  if (isFull && need.strategy !== "queue") {
    // In the queue it may be gone: nobody is cancelled, for it or in its place, before it is here.
    if (lane.first === undefined) return bringIn(lane, parts);
    parts.borrowing.heedFull(need.id);
  }
  if (need.strategy === "cancel-newest" && isFull) {
    window.shift(lane);
    scheduled.evictions.push({ run: task.run, need, task, isOwn: true });
    return turns.pay(lane, 0);
  }
  if (need.strategy === "cancel-in-progress" && isFull) {
    if (lane.length > boundOfPermits(need, parts)) {
      window.shift(lane); // a newer one waits behind it
      scheduled.evictions.push({ run: task.run, need, task, isOwn: true });
      return turns.pay(lane, 0);
    }
    // Of a limit that is another shard's, that one knows who is the oldest.
    if (parts.ownership.isOwn(need.id)) evictOldest(need, task, parts, scheduled);
  }
  block(lane, obstacle, parts, now);
}

/** The first of another shard's tasks that wait for a key gets what it needs, or goes on waiting. */
function serveShard(
  lane: LoanLane,
  parts: SchedulerParts,
  scheduled: Scheduled,
  now: number,
): void {
  const { turns, lending, permits, buckets, book } = parts;
  const { need } = lane;
  if (need === undefined) return turns.leave(lane);
  const bound = boundOf(need, book);
  const obstacle = bound && obstacleHere(need, bound, lane, parts, now);
  if (obstacle === undefined) {
    if (bound?.rate !== undefined) buckets.take(need.id, bound.rate, need.units, now);
    const cost = bound?.rate === undefined ? 1 : costOfUnits([{ ...need, rate: bound.rate }]);
    const isCounted = bound?.concurrency !== undefined;
    const units = bound?.rate === undefined ? 0 : need.units;
    lending.lend(lane, { permits: isCounted ? 1 : 0, units }, permits, now);
    return turns.pay(lane, cost);
  }
  askForMissing(obstacle, parts, now);
  if (obstacle.isFull && need.strategy === "cancel-newest") {
    lane.waiting = [];
    lane.lent.isFull = true;
    lending.tell(lane.lent);
    return turns.leave(lane);
  }
  if (obstacle.isFull && need.strategy === "cancel-in-progress") {
    evictOldest(need, undefined, parts, scheduled);
  }
  block(lane, obstacle, parts, now);
}

function block(
  lane: Lane,
  { need, at, isHeld }: Obstacle,
  { turns, lending }: SchedulerParts,
  now: number,
): void {
  turns.block(lane, isHeld === true ? heldLine(need.id) : need.id, at);
  if (at !== undefined && at <= now) turns.present(lane);
  lending.contend(need.id);
}

/** Whoever was the first to take a permit of it has to go; of one that is lent, its shard says who that is. */
function evictOldest(
  need: Need,
  task: ReadyTask | undefined,
  { permits, lending }: SchedulerParts,
  scheduled: Scheduled,
): void {
  const [oldest] = permits.holdersOf(need.id);
  if (oldest === undefined) return;
  const lent = lending.find(need.id, oldest);
  if (lent === undefined) {
    scheduled.evictions.push({ run: runOfHolder(oldest), need, task, isOwn: false });
  } else {
    lent.evict = 1;
    lending.tell(lent);
  }
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
  parts: SchedulerParts,
  now: number,
): Obstacle | undefined {
  for (const need of task.needs.needs) {
    const obstacle = obstacleOfNeed(need, task, lane, parts, now);
    if (obstacle !== undefined) return obstacle;
  }
  return undefined;
}

/** Whether the task can't have this now. */
export function obstacleOfNeed(
  need: Need,
  task: ReadyTask,
  lane: Lane,
  parts: SchedulerParts,
  now: number,
): Obstacle | undefined {
  const bound = boundOf(need, parts.book);
  if (bound === undefined) return undefined;
  const isHolding = parts.permits.has(need.id, holderOf(need, task));
  if (!parts.ownership.isOwn(need.id)) {
    return obstacleElsewhere(need, bound, { task, lane, isHolding }, parts, now);
  }
  return isHolding ? undefined : obstacleHere(need, bound, lane, parts, now);
}

/** What the run has taken of it. */
function take(
  task: ReadyTask,
  session: Session,
  { permits, buckets, book, ownership, borrowing }: SchedulerParts,
  now: number,
): CountId[] {
  const ofRun: CountId[] = [];
  for (const need of task.needs.needs) {
    const bound = boundOf(need, book);
    const holder = holderOf(need, task);
    if (bound === undefined || permits.has(need.id, holder)) continue;
    const isOwn = ownership.isOwn(need.id);
    if (bound.rate !== undefined) {
      if (isOwn) buckets.take(need.id, bound.rate, need.units, now);
      else borrowing.spend(need.id, need.units, now);
    }
    if (bound.concurrency === undefined && !need.isOfRun) continue;
    // Of a run's rate as well: what it has paid once, it need not pay again.
    permits.take(need.id, holder);
    if (!isOwn) borrowing.hold(need.id, permits.count(need.id), now);
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

function boundOfPermits(need: Need, { book }: SchedulerParts): number {
  return boundOf(need, book)?.concurrency ?? Number.POSITIVE_INFINITY;
}

/** What a task takes of its lane's share: units, or without a rate its slots. */
function costOf({ needs: { needs, placing } }: ReadyTask, { book }: SchedulerParts): number {
  const taken = needs.map((need) => ({ units: need.units, rate: boundOf(need, book)?.rate ?? [] }));
  const cost = costOfUnits(taken);
  return cost > 0 ? cost : placing.slots;
}
