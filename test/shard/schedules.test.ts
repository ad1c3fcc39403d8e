/** Schedules start their runs by their tenant's clock: once for each tick, whatever dies on the way. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { StartAnswer } from "../../durable-objects/shard-calls.ts";
import { Clock } from "../../durable-objects/schedule-clock.ts";
import type { StartCall } from "../../durable-objects/dispatcher/transitions.ts";
import type { Schedule } from "../../protocol/schedule-bodies.ts";
import { createLogger } from "../../telemetry/log.ts";
import type { Environment } from "../../workers/environment.ts";
import { ScheduleClock } from "../../workers/schedules/schedule-clock.ts";
import { tendSchedules } from "../../workers/schedules/tend.ts";
import {
  advanceClock,
  clockAlarm,
  clockOf,
  createSchedule,
  readSchedule,
  ringClock,
  runsOf,
} from "../support/schedules.ts";
import { traffic } from "../support/traffic.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

useVirtualTime();

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

let world: World;
/** The next full hour: schedules of these tests begin then. */
let hour: number;

beforeEach(async () => {
  world = await createWorld();
  await world.register({ name: "report", steps: [{ name: "write" }] });
  hour = Math.ceil((Date.now() + 1) / HOUR) * HOUR;
});

const iso = (ms: number): string => new Date(ms).toISOString();

/** The ticks of the runs that a schedule has started, as hours from the first. */
async function ticksOf(id: string): Promise<(number | null)[]> {
  const runs = await runsOf(world, id);
  return runs.map(({ scheduledFor }) =>
    scheduledFor === null ? null : (Date.parse(scheduledFor) - hour) / HOUR,
  );
}

describe("a cron", () => {
  test("starts a run at each tick, which its handler knows", async () => {
    const { id } = await createSchedule(world, {
      cron: "0 * * * *",
      input: { to: "acme" },
      metadata: { kind: "hourly" },
    });
    expect(await clockAlarm(world)).toBe(hour);
    await advanceClock(world, hour - 1);
    expect(await runsOf(world, id)).toEqual([]);
    await advanceClock(world, hour);
    const worker = await world.connectWorker({ actions: ["report:write"] });
    const task = await worker.receiveTask({ input: { to: "acme" }, metadata: { kind: "hourly" } });
    expect(task["schedule"]).toEqual({ id, tick: hour });
    await advanceClock(world, hour + 2 * HOUR);
    expect(await ticksOf(id)).toEqual([0, 1, 2]);
    const [first] = await runsOf(world, id);
    expect(await readSchedule(world, id)).toMatchObject({
      lastTick: iso(hour + 2 * HOUR),
      nextTicks: [iso(hour + 3 * HOUR), iso(hour + 4 * HOUR), iso(hour + 5 * HOUR)],
      skipped: 0,
      missed: 0,
    });
    expect(first).toMatchObject({ scheduleId: id, scheduledFor: iso(hour), startsAt: null });
    expect(await clockAlarm(world)).toBe(hour + 3 * HOUR);
  });
});

describe("one run", () => {
  test("starts at its time, and the clock sleeps for good", async () => {
    const at = hour + 20 * DAY;
    const { id } = await createSchedule(world, { at: iso(at), input: 7 });
    expect(await clockAlarm(world)).toBe(at);
    await advanceClock(world, at);
    const [run, ...others] = await runsOf(world, id);
    expect(others).toEqual([]);
    expect(await world.readRun(run?.id ?? "")).toMatchObject({ input: 7, scheduledFor: iso(at) });
    const over = await readSchedule(world, id);
    expect(over).toMatchObject({ nextTicks: [], lastRun: run?.id, endedAt: iso(at) });
    expect(await clockAlarm(world)).toBeNull();
  });
});

/** Nobody is there for a day; then the clock wakes, five minutes after the last tick. */
async function outage(): Promise<void> {
  vi.setSystemTime(hour + 23 * HOUR + 300_000);
  await ringClock(world);
}

describe("after an outage of a day", () => {
  test.each([
    ["none", {}, [], 24],
    ["last", {}, [23], 23],
    ["all", {}, Array.from({ length: 24 }, (_, tick) => tick), 0],
    ["all", { catchUpLimit: 3 }, [21, 22, 23], 21],
  ] as const)("%s %j starts what it says", async (catchUp, more, ticks, missed) => {
    const { id } = await createSchedule(world, { cron: "0 * * * *", catchUp, ...more });
    await outage();
    expect(await ticksOf(id)).toEqual(ticks);
    const next = { nextTicks: expect.arrayContaining([iso(hour + DAY)]), missed };
    expect(await readSchedule(world, id)).toMatchObject(next);
    expect(await clockAlarm(world)).toBe(hour + DAY);
  });

  test("what was to come once comes then", async () => {
    const { id } = await createSchedule(world, { at: iso(hour) });
    await outage();
    expect(await ticksOf(id)).toEqual([0]);
  });

  test("more than one commit takes is started all the same", async () => {
    const { id } = await createSchedule(world, {
      cron: "*/10 * * * *",
      catchUp: "all",
      catchUpLimit: 1_000,
    });
    await outage();
    const runs = await runsOf(world, id);
    const last = hour + 23 * HOUR;
    const first = Date.parse(runs[0]?.scheduledFor ?? "");
    expect(runs).toHaveLength((last - first) / 600_000 + 1);
    expect(new Set(runs.map(({ scheduledFor }) => scheduledFor)).size).toBe(runs.length);
    expect(first).toBeLessThanOrEqual(hour);
  });
});

describe("while the run before goes on", () => {
  test("with skip, ticks are skipped, and that is told", async () => {
    const { id } = await createSchedule(world, { cron: "0 * * * *", overlap: "skip" });
    await advanceClock(world, hour + 2 * HOUR);
    expect(await ticksOf(id)).toEqual([0]);
    const skipped = { skipped: 2, lastSkippedTick: iso(hour + 2 * HOUR), lastTick: iso(hour) };
    expect(await readSchedule(world, id)).toMatchObject(skipped);
    const [run] = await runsOf(world, id);
    await world.call("POST", `/runs/${run?.id}/cancel`, {});
    await advanceClock(world, hour + 3 * HOUR);
    expect(await ticksOf(id)).toEqual([0, 3]);
  });

  test("with cancel-previous, that one is cancelled first", async () => {
    const { id } = await createSchedule(world, { cron: "0 * * * *", overlap: "cancel-previous" });
    await advanceClock(world, hour + HOUR);
    const [first, second] = await runsOf(world, id);
    expect([first?.state, second?.state]).toEqual(["cancelled", "queued"]);
    expect(await world.readRun(first?.id ?? "")).toMatchObject({
      error: { code: "cancelled", message: expect.stringContaining("next run") },
    });
  });
});

describe("a workflow that is paused", () => {
  test("with drop has its ticks skipped", async () => {
    const { id } = await createSchedule(world, { cron: "0 * * * *" });
    await world.call("PUT", "/workflows/report/pause", { mode: "drop" });
    await advanceClock(world, hour);
    expect(await ticksOf(id)).toEqual([]);
    expect(await readSchedule(world, id)).toMatchObject({ skipped: 1 });
    await world.call("DELETE", "/workflows/report/pause");
    await advanceClock(world, hour + HOUR);
    expect(await ticksOf(id)).toEqual([1]);
  });

  test("with hold has runs that wait", async () => {
    const { id } = await createSchedule(world, { at: iso(hour) });
    await world.call("PUT", "/workflows/report/pause", { mode: "hold" });
    await advanceClock(world, hour);
    const [run] = await runsOf(world, id);
    expect(run?.state).toBe("queued");
    expect((await world.readRun(run?.id ?? "")).tasks[0]?.state).toBe("waiting");
  });
});

describe("the clock", () => {
  test("wakes for the soonest, whichever was stored first", async () => {
    const later = await createSchedule(world, { at: iso(hour + HOUR) });
    expect(await clockAlarm(world)).toBe(hour + HOUR);
    await createSchedule(world, { at: iso(hour + 2 * HOUR) });
    expect(await clockAlarm(world)).toBe(hour + HOUR);
    await createSchedule(world, { at: iso(hour + 1) });
    expect(await clockAlarm(world)).toBe(hour + 1);
    await world.call("PATCH", `/schedules/${later.id}`, { at: iso(hour) });
    expect(await clockAlarm(world)).toBe(hour);
  });

  test("that wakes for nothing sleeps until there is something", async () => {
    const { id } = await createSchedule(world, { at: iso(hour) });
    await world.call("PATCH", `/schedules/${id}`, { at: iso(hour + DAY) });
    await advanceClock(world, hour);
    expect(await ticksOf(id)).toEqual([]);
    expect(await clockAlarm(world)).toBe(hour + DAY);
    await world.call("DELETE", `/schedules/${id}`);
    await advanceClock(world, hour + DAY);
    expect(await clockAlarm(world)).toBeNull();
  });

  test("that is told of something while it is at work wakes for it", async () => {
    class BusyClock extends Clock<Environment> {}
    const alarms = await runInDurableObject(clockOf(world), async (_clock, state) => {
      const found: (number | null)[] = [];
      for (const next of [undefined, hour + HOUR, hour - HOUR]) {
        const busy: BusyClock = new BusyClock(state, world.env, async () => {
          await busy.nudge(hour);
          return next;
        });
        vi.setSystemTime(hour - 2 * HOUR);
        await busy.alarm();
        found.push(await state.storage.getAlarm());
      }
      return found;
    });
    expect(alarms).toEqual([hour, hour, hour - HOUR]);
  });

  test("starts many that are due at once, each once", async () => {
    const schedules = Array.from({ length: 700 }, () => ({ workflow: "report", at: iso(hour) }));
    await world.call("POST", "/schedules/bulk", { schedules });
    await advanceClock(world, hour);
    const rows = await world.sql(
      `select count(*)::integer as runs, count(distinct schedule_id)::integer as schedules
         from v1.workflow_run where tenant_id = $1`,
      [world.tenant],
    );
    expect(rows).toEqual([{ runs: 700, schedules: 700 }]);
  });

  test("learns of what a workflow declares", async () => {
    const crons = [{ name: "new year", cron: "0 0 1 1 *", timezone: "Europe/Berlin", input: 1 }];
    await world.register({ name: "report", crons, steps: [{ name: "write" }] });
    expect(await clockAlarm(world)).toBeLessThanOrEqual(Date.now() + 1);
    await ringClock(world);
    const { body } = await world.call<{ items: Schedule[] }>("GET", "/schedules?workflow=report");
    const [schedule] = body.items;
    expect(schedule).toMatchObject({ name: "new year", isDeclared: true, isEnabled: true });
    expect(await clockAlarm(world)).toBe(Date.parse(schedule?.nextTicks[0] ?? ""));
  });
});

describe("a tick starts one run", () => {
  async function schedule(): Promise<string> {
    const { id } = await createSchedule(world, { cron: "0 * * * *" });
    vi.setSystemTime(hour);
    return id;
  }

  const log = createLogger({}, "error");
  const tend = async (broken: Partial<Environment> = {}): Promise<unknown> =>
    await tendSchedules({ ...world.env, ...broken }, world.tenant, log);

  /** A shard of which only so much arrives. */
  function shardThat(start: (call: StartCall) => Promise<StartAnswer>): Partial<Environment> {
    return { DISPATCHER: { getByName: () => ({ start }) } as unknown as Environment["DISPATCHER"] };
  }

  test("when two clocks race for it", async () => {
    const id = await schedule();
    await Promise.all([tend(), tend(), ringClock(world)]);
    expect(await ticksOf(id)).toEqual([0]);
  });

  test("when the clock dies before its start arrives", async () => {
    const id = await schedule();
    await expect(tend(shardThat(() => Promise.reject(new Error("gone"))))).rejects.toThrow();
    expect(await ticksOf(id)).toEqual([]);
    await ringClock(world);
    expect(await ticksOf(id)).toEqual([0]);
  });

  test("when the clock dies before it hears of it", async () => {
    const id = await schedule();
    const lost = shardThat(async (call) => {
      await world.shard.start(call);
      throw new Error("gone");
    });
    await expect(tend(lost)).rejects.toThrow();
    expect(await ticksOf(id)).toEqual([0]);
    await ringClock(world);
    expect(await ticksOf(id)).toEqual([0]);
  });

  test("when the answer of its commit is lost", async () => {
    const id = await schedule();
    traffic.loseAnswers(1);
    const ringing = runDurableObjectAlarm(clockOf(world));
    while ((await runsOf(world, id)).length === 0) await scheduler.wait(1);
    await world.advance(10_000); // the shard sends it again
    await ringing;
    await ringClock(world);
    expect(await ticksOf(id)).toEqual([0]);
    expect(await readSchedule(world, id)).toMatchObject({ lastTick: iso(hour), missed: 0 });
  });

  test("when the clock is ended in the middle of it", async () => {
    const id = await schedule();
    const held = await world.holdCommits();
    const ringing = runDurableObjectAlarm(clockOf(world)).catch(() => {});
    while ((await held.countWaiting()) === 0) await scheduler.wait(1);
    const dying = runInDurableObject(clockOf(world), (_clock, state) => state.abort("ended"));
    await dying.catch(() => {});
    await ringing;
    await held.release();
    await world.settled();
    expect(await clockAlarm(world)).toBeGreaterThan(hour);
    await advanceClock(world, hour + 120_000);
    expect(await ticksOf(id)).toEqual([0]);
  });

  test("later, when its shard can't take it now", async () => {
    const id = await schedule();
    const overloaded = shardThat(() => Promise.resolve({ kind: "overloaded" }));
    await expect(tend(overloaded)).rejects.toThrow("overloaded");
    await ringClock(world);
    expect(await ticksOf(id)).toEqual([0]);
  });

  test("and what Postgres refuses waits, and holds up no other", async () => {
    const [bad, good] = [await schedule(), (await createSchedule(world, { at: iso(hour) })).id];
    await world.sql("update v1.schedule set input = '\"bad\"' where id = $1", [bad]);
    const refusing = shardThat(async (call) =>
      call.runs.some(({ i }) => i === "bad")
        ? { kind: "refused", message: "no" }
        : await world.shard.start(call),
    );
    vi.spyOn(console, "log").mockImplementation(() => {}); // it is an error in the log
    await tend(refusing);
    expect([await ticksOf(bad), await ticksOf(good)]).toEqual([[], [0]]);
    expect(await readSchedule(world, bad)).toMatchObject({ missed: 0, endedAt: null });
    await advanceClock(world, hour + 600_000);
    expect(await ticksOf(bad)).toEqual([0]);
  });

  test("also when nothing can be asked of the database for a while", async () => {
    const id = await schedule();
    await runInDurableObject(clockOf(world), async (_clock, state) => {
      const failing = new ScheduleClock(state, {
        ...world.env,
        DATABASE_URL: "postgres://none.test/x",
      });
      vi.spyOn(console, "log").mockImplementation(() => {});
      await failing.alarm();
    });
    expect(await clockAlarm(world)).toBe(hour + 1_000);
    await advanceClock(world, hour + 1_000);
    expect(await ticksOf(id)).toEqual([0]);
  });
});
