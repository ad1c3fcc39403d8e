/**
 * A tenant's clock in a test: it wakes when the test says so, at the time that the test has made.
 */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { expect, vi } from "vitest";
import type { RunSummary } from "../../protocol/http.ts";
import type { CreatedSchedule, CreateSchedule, Schedule } from "../../protocol/schedule-bodies.ts";
import type { ScheduleClock } from "../../workers/schedules/schedule-clock.ts";
import { traffic } from "./traffic.ts";
import type { World } from "./world.ts";

export function clockOf(world: World): DurableObjectStub<ScheduleClock> {
  const clocks = world.env.SCHEDULE_CLOCK as DurableObjectNamespace<ScheduleClock>;
  return clocks.getByName(world.tenant);
}

export async function clockAlarm(world: World): Promise<number | null> {
  return await runInDurableObject(clockOf(world), (_clock, state) => state.storage.getAlarm());
}

/** The clock's alarm goes off, and what it sets in motion comes to rest. */
export async function ringClock(world: World): Promise<void> {
  await runDurableObjectAlarm(clockOf(world));
  await traffic.settled();
}

/** Moves time to a moment; the clock wakes whenever it means to on the way. */
export async function advanceClock(world: World, to: number): Promise<void> {
  for (;;) {
    const alarm = await clockAlarm(world);
    if (alarm === null || alarm > to) break;
    vi.setSystemTime(Math.max(alarm, Date.now()));
    await ringClock(world);
  }
  vi.setSystemTime(to);
}

export async function createSchedule(
  world: World,
  schedule: Omit<CreateSchedule, "workflow"> & { workflow?: string },
): Promise<CreatedSchedule> {
  const body = { workflow: "report", ...schedule };
  const answer = await world.call<CreatedSchedule>("POST", "/schedules", body);
  expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300);
  return answer.body;
}

export async function readSchedule(world: World, id: string): Promise<Schedule> {
  const { status, body } = await world.call<Schedule>("GET", `/schedules/${id}`);
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

/** Runs that a schedule has started, the oldest first. */
export async function runsOf(world: World, id: string): Promise<RunSummary[]> {
  const path = `/runs?scheduleId=${id}&limit=200`;
  const { body } = await world.call<{ items: RunSummary[] }>("GET", path);
  return body.items.toReversed();
}
