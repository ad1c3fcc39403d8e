/**
 * What no single field of a schedule tells: which of them go together. Pure, but for the clock.
 */
import { MAX_AHEAD_MS } from "../../protocol/limits.ts";
import type { CreateSchedule } from "../../protocol/schedule-bodies.ts";
import { CATCH_UP_GRACE_MS } from "../schedules/limits.ts";
import type { Broken } from "./limit-rules.ts";

/** Of one run, which comes once: nothing is before it, or beside it. */
const OF_CRONS = ["timezone", "overlap", "catchUpLimit", "jitterMs"] as const;

type Times = Pick<
  CreateSchedule,
  "cron" | "timezone" | "at" | "overlap" | "catchUp" | "catchUpLimit" | "jitterMs"
>;

export function brokenInCreation(schedule: Times): Broken[] {
  const { cron, at } = schedule;
  if (cron === undefined && at === undefined) {
    const message = "is missing: give it for a run at each of its ticks, or at for one run";
    return [{ path: ["cron"], message }];
  }
  if (cron !== undefined && at !== undefined) {
    return [{ path: ["at"], message: "can't be given together with cron: make it two schedules" }];
  }
  return at === undefined ? brokenInCron(schedule) : [...brokenInOnce(schedule), ...brokenInAt(at)];
}

export function brokenInCron({ catchUp, catchUpLimit }: Times): Broken[] {
  if (catchUpLimit === undefined || catchUp === "all") return [];
  return [{ path: ["catchUpLimit"], message: "does nothing unless catchUp is all" }];
}

export function brokenInOnce(schedule: Times): Broken[] {
  const idle = OF_CRONS.filter((field) => schedule[field] !== undefined);
  const broken = idle.map((field) => ({
    path: [field],
    message: "does nothing for a schedule of one run",
  }));
  if (schedule.catchUp !== "all") return broken;
  return [...broken, { path: ["catchUp"], message: "must be last or none: there is one run" }];
}

/** A moment that has just passed is due at once: clocks differ. */
export function brokenInAt(at: string): Broken[] {
  const [ms, now] = [Date.parse(at), Date.now()];
  if (ms < now - CATCH_UP_GRACE_MS) {
    return [{ path: ["at"], message: "has passed: start a run, with POST /api/v1/runs" }];
  }
  if (ms <= now + MAX_AHEAD_MS) return [];
  return [{ path: ["at"], message: "is more than ten years ahead" }];
}
