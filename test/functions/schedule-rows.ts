/**
 * Schedules as tests of the SQL functions store them.
 */
import type { PutScheduleRow } from "../../database/schedule-rows.ts";
import { newId } from "../../protocol/ids.ts";

export const AT = Date.now();
export const HOUR = 3_600_000;
export const PAGE = { limit: 100, bytes: 1_000_000 };
export const BOUNDS = { mostCrons: 100, at: AT };

/** Every hour on the hour, as if it were that now. */
export function row(w: string, parts: Partial<PutScheduleRow> = {}): PutScheduleRow {
  const cron = { c: "0 * * * *", z: "UTC", u: AT, nt: AT + HOUR, d: AT + HOUR };
  const options = { o: "allow", cu: "last", cl: 100, j: 0, e: true } as const;
  return { id: newId(), w, i: { to: "acme" }, m: {}, ...options, ...cron, ...parts };
}
