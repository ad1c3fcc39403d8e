/**
 * Schedules on their way into Postgres and out of it: with the times that follow from what they say. Pure: it is
 * given the time.
 */
import type { StoredSchedule } from "../../database/read-schedules.ts";
import type { PutScheduleRow, ScheduleChange } from "../../database/schedule-rows.ts";
import { newId } from "../../protocol/ids.ts";
import { DEFAULT_CATCH_UP_LIMIT, SHOWN_TICKS } from "../../protocol/limits.ts";
import type { ChangeSchedule, CreateSchedule, Schedule } from "../../protocol/schedule-bodies.ts";
import { cronOf, ticksAfter } from "./cron.ts";
import { firstTick } from "./decide.ts";

export const UTC = "UTC";

/** A schedule to be stored, as it was checked. */
export function putRow(asked: CreateSchedule, now: number): PutScheduleRow {
  const { cron, at, timezone = UTC, jitterMs = 0, isEnabled = true } = asked;
  const row: Omit<PutScheduleRow, "u"> = {
    id: newId(),
    w: asked.workflow,
    n: asked.name,
    k: asked.idempotencyKey,
    ...(cron === undefined ? { a: Date.parse(at ?? "") } : { c: cron, z: timezone }),
    i: asked.input ?? null,
    m: asked.metadata ?? {},
    pr: asked.priority,
    o: asked.overlap ?? "allow",
    cu: asked.catchUp ?? "last",
    cl: asked.catchUpLimit ?? DEFAULT_CATCH_UP_LIMIT,
    j: jitterMs,
    e: isEnabled,
  };
  const times = { id: row.id, cron: row.c ?? null, timezone, at: row.a ?? null, jitterMs };
  return { ...row, ...timesOf({ ...times, isEnabled }, now) };
}

/** A change as it is stored. Times are worked out anew when something they follow from has changed. */
export function changeRow(
  stored: StoredSchedule,
  change: ChangeSchedule,
  now: number,
): ScheduleChange {
  const { name, cron, timezone, at, input, metadata, priority, overlap } = change;
  const { catchUp, catchUpLimit, jitterMs, isEnabled } = change;
  const row: ScheduleChange = {
    ...(name !== undefined && { n: name }),
    ...(cron !== undefined && { c: cron }),
    ...(timezone !== undefined && { z: timezone }),
    ...(at !== undefined && { a: Date.parse(at) }),
    ...(input !== undefined && { i: input }),
    ...(metadata !== undefined && { m: metadata }),
    ...(priority !== undefined && { pr: priority }),
    ...(overlap !== undefined && { o: overlap }),
    ...(catchUp !== undefined && { cu: catchUp }),
    ...(catchUpLimit !== undefined && { cl: catchUpLimit }),
    ...(jitterMs !== undefined && { j: jitterMs }),
    ...(isEnabled !== undefined && { e: isEnabled }),
  };
  const isTimed = (["cron", "timezone", "at", "jitterMs", "isEnabled"] as const).some(
    (field) => change[field] !== undefined && change[field] !== stored[field],
  );
  if (!isTimed) return row;
  const { id, ...rest } = { ...stored, ...change };
  const times = { ...rest, id, at: rest.at === null ? null : Date.parse(rest.at) };
  // No tick from before is seen to any more, and none that was is again.
  return { ...row, ...timesOf(times, Math.max(now, stored.seenUntil)) };
}

type Times = Parameters<typeof firstTick>[0] & { isEnabled: boolean };

function timesOf(times: Times, after: number): Pick<PutScheduleRow, "u" | "nt" | "d"> {
  const first = times.isEnabled ? firstTick(times, after) : undefined;
  return { u: after, nt: first?.tick, d: first?.due };
}

/** As the API shows it. */
export function shownSchedule(stored: StoredSchedule, now: number): Schedule {
  const { revision: _revision, seenUntil, ...schedule } = stored;
  const { cron, timezone, at, isEnabled, endedAt } = schedule;
  if (!isEnabled || endedAt !== null) return { ...schedule, nextTicks: [] };
  if (cron === null) return { ...schedule, nextTicks: at === null ? [] : [at] };
  const after = Math.max(seenUntil, now);
  const ticks = ticksAfter(cronOf(cron, timezone ?? UTC), after, SHOWN_TICKS);
  return { ...schedule, nextTicks: ticks.map((tick) => new Date(tick).toISOString()) };
}

/** A moment as a zone's clock shows it, such as `Sun 2026-03-29 03:00:00 GMT+2`. */
export function localTime(ms: number, timezone: string): string {
  const parts = new Intl.DateTimeFormat("en-GB", {
    timeZone: timezone,
    weekday: "short",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    timeZoneName: "shortOffset",
  }).formatToParts(ms);
  const { weekday, year, month, day, hour, minute, second, timeZoneName } = Object.fromEntries(
    parts.map(({ type, value }) => [type, value]),
  );
  return `${weekday} ${year}-${month}-${day} ${hour}:${minute}:${second} ${timeZoneName}`;
}
