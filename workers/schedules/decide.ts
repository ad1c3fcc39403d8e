/**
 * What is to become of a schedule that is due: for which ticks runs are started, which have been missed or
 * are skipped, and what comes next. Pure: it is given the time.
 */
import type { DueScheduleRow } from "../../database/schedule-rows.ts";
import { type Cron, cronOf } from "./cron.ts";
import { dueOf } from "./jitter.ts";
import { CATCH_UP_GRACE_MS, MAX_STARTS_AT_ONCE, MAX_WALKED } from "./limits.ts";

export interface Decision {
  /** Ticks for which runs are started, in order. */
  starts: number[];
  /** The run before is to be cancelled first. */
  cancelsPrevious: boolean;
  /** Ticks until then have been seen to. */
  seenUntil: number;
  /** The next tick, and when it is due; undefined: there is none. */
  next: { tick: number; due: number } | undefined;
  /** Ticks that start no run: there was somebody in their way; or nobody was there. */
  skipped: number;
  lastSkipped: number | undefined;
  missed: number;
  /** Ticks that were looked at: what it has cost. */
  walked: number;
}

type Schedule = Omit<DueScheduleRow, "workflow" | "input" | "metadata" | "priority">;

/** @param maxStarts Runs that it may start now; the others are due at once. */
export function decide(schedule: Schedule, now: number, maxStarts = MAX_STARTS_AT_ONCE): Decision {
  const { due, next, uncounted } = walk(schedule, now);
  const { chosen, missed } = catchUp(schedule, due, now);
  const decision = {
    cancelsPrevious: false,
    next,
    skipped: 0,
    lastSkipped: undefined,
    seenUntil: due.at(-1) ?? schedule.seenUntil,
    missed: missed + uncounted,
    walked: due.length + uncounted + 1,
  };
  const last = chosen.at(-1);
  const { overlap, isPreviousUnfinished } = schedule;
  if (last === undefined) return { ...decision, starts: [] };
  if (schedule.paused === "drop" || (overlap === "skip" && isPreviousUnfinished)) {
    return { ...decision, starts: [], skipped: chosen.length, lastSkipped: last };
  }
  if (overlap !== "allow") {
    // Of several that are due at once only one may run: the last, which needs no other to be cancelled.
    const cancelsPrevious = overlap === "cancel-previous" && isPreviousUnfinished;
    const skipped = chosen.length - 1;
    const lastSkipped = chosen.at(-2);
    return { ...decision, starts: [last], cancelsPrevious, skipped, lastSkipped };
  }
  if (chosen.length <= maxStarts) return { ...decision, starts: chosen };
  const starts = chosen.slice(0, maxStarts);
  const [tick = last] = chosen.slice(maxStarts);
  return { ...decision, starts, seenUntil: starts.at(-1) ?? last, next: { tick, due: now } };
}

/** When a schedule comes first after a moment. */
export function firstTick(
  schedule: Pick<Schedule, "id" | "cron" | "timezone" | "at" | "jitterMs">,
  after: number,
): Decision["next"] {
  const tick =
    schedule.cron === null
      ? (schedule.at ?? undefined)
      : cronOf(schedule.cron, schedule.timezone ?? "UTC").next(after);
  return tick === undefined ? undefined : { tick, due: dueOf(schedule, tick) };
}

interface Walk {
  /** Ticks that are due and have not been seen to, in order. */
  due: number[];
  next: Decision["next"];
  /** More ticks than may be gone through came before them: at least so many. */
  uncounted: number;
}

function walk(schedule: Schedule, now: number): Walk {
  const { cron, timezone, at, seenUntil } = schedule;
  if (cron === null) {
    const isDue = at !== null && at <= now;
    const next = at === null || isDue ? undefined : { tick: at, due: at };
    return { due: isDue ? [at] : [], next, uncounted: 0 };
  }
  const expression = cronOf(cron, timezone ?? "UTC");
  const all = walkFrom(schedule, expression, seenUntil, now);
  if (all !== undefined) return { ...all, uncounted: 0 };
  return walkLatest(schedule, expression, now);
}

/** A long outage of a busy one: the latest ticks are enough to catch up with. Finds a span that has enough of them. */
function walkLatest(schedule: Schedule, cron: Cron, now: number): Walk {
  const { jitterMs, seenUntil, catchUpLimit } = schedule;
  let tooMany = now - seenUntil;
  let tooFew = 0;
  let spanMs = 2 * CATCH_UP_GRACE_MS + jitterMs; // with all that are on time
  for (;;) {
    const some = walkFrom(schedule, cron, now - spanMs, now);
    if (some === undefined) tooMany = spanMs;
    else if (some.due.length <= catchUpLimit) tooFew = spanMs;
    else return { ...some, uncounted: MAX_WALKED - some.due.length };
    const middle = (tooFew + tooMany) / 2;
    spanMs = tooFew === 0 ? middle : Math.min(2 * tooFew, middle);
  }
}

/** Undefined: there are more than may be gone through. */
function walkFrom(
  schedule: Schedule,
  cron: Cron,
  from: number,
  now: number,
): Omit<Walk, "uncounted"> | undefined {
  const due: number[] = [];
  for (let tick = cron.next(from); tick !== undefined; tick = cron.next(tick)) {
    const dueAt = dueOf(schedule, tick);
    if (dueAt > now) return { due, next: { tick, due: dueAt } };
    if (due.length === MAX_WALKED) return undefined;
    due.push(tick);
  }
  return { due, next: undefined };
}

/** Which of the ticks that are due start a run, as the schedule's policy says of those that come late. */
function catchUp(
  schedule: Schedule,
  due: number[],
  now: number,
): { chosen: number[]; missed: number } {
  const isLate = (tick: number): boolean => dueOf(schedule, tick) < now - CATCH_UP_GRACE_MS;
  const late = due.filter(isLate);
  const onTime = due.filter((tick) => !isLate(tick));
  const kept = late.slice(late.length - keptOf(schedule, late.length, onTime.length));
  const chosen = [...kept, ...onTime].toSorted((a, b) => a - b);
  return { chosen, missed: late.length - kept.length };
}

function keptOf({ catchUp: policy, catchUpLimit }: Schedule, late: number, onTime: number): number {
  if (policy === "all") return Math.min(late, catchUpLimit);
  // One that is on time is later than any that was missed.
  return policy === "last" && onTime === 0 ? Math.min(late, 1) : 0;
}
