/** What becomes of a schedule that is due: catching up, overlaps and jitter, at a time that is given. */
import { describe, expect, test } from "vitest";
import type { DueScheduleRow } from "../../database/schedule-rows.ts";
import { cronOf, ticksAfter } from "../../workers/schedules/cron.ts";
import { type Decision, decide } from "../../workers/schedules/decide.ts";
import { dueOf } from "../../workers/schedules/jitter.ts";
import { CATCH_UP_GRACE_MS, MAX_WALKED } from "../../workers/schedules/limits.ts";

const DAY = 86_400_000;
const HOUR = 3_600_000;
const NOON = Date.UTC(2026, 5, 10, 12);

function hourly(more: Partial<DueScheduleRow> = {}): DueScheduleRow {
  return {
    id: "0199f3a2-7c1e-7000-8a4b-5d6e7f800000",
    revision: 0,
    workflow: "report",
    paused: null,
    cron: "0 * * * *",
    timezone: "UTC",
    at: null,
    seenUntil: NOON - HOUR,
    input: null,
    metadata: {},
    priority: null,
    overlap: "allow",
    catchUp: "last",
    catchUpLimit: 100,
    jitterMs: 0,
    lastRun: null,
    lastShard: null,
    isPreviousUnfinished: false,
    bytes: 4,
    ...more,
  };
}

/** As times of the day before noon and after. */
function shown({ starts, missed, skipped, seenUntil, next }: Decision) {
  const hours = (tick: number): number => (tick - NOON) / HOUR;
  return {
    starts: starts.map(hours),
    missed,
    skipped,
    seenUntil: hours(seenUntil),
    next: next && hours(next.tick),
  };
}

describe("a tick", () => {
  test.each([0, 1, CATCH_UP_GRACE_MS])("that is due for %d ms starts one run", (lateMs) => {
    expect(shown(decide(hourly({ catchUp: "none" }), NOON + lateMs))).toEqual({
      starts: [0],
      missed: 0,
      skipped: 0,
      seenUntil: 0,
      next: 1,
    });
  });

  test("that is not due yet changes nothing, and is waited for", () => {
    expect(shown(decide(hourly(), NOON - 1))).toMatchObject({ starts: [], seenUntil: -1, next: 0 });
  });

  test("of a schedule that was never looked at comes after it was made", () => {
    const made = hourly({ seenUntil: NOON + 1 });
    expect(shown(decide(made, NOON + 2))).toMatchObject({ starts: [], missed: 0, next: 1 });
  });

  test("that is once leaves nothing behind", () => {
    const once = hourly({ cron: null, timezone: null, at: NOON });
    expect(decide(once, NOON - 1)).toMatchObject({ starts: [], next: { tick: NOON, due: NOON } });
    expect(decide(once, NOON)).toMatchObject({ starts: [NOON], next: undefined });
    expect(decide(once, NOON + DAY)).toMatchObject({ starts: [NOON], next: undefined });
    expect(decide({ ...once, catchUp: "none" }, NOON + DAY)).toMatchObject({
      starts: [],
      missed: 1,
      next: undefined,
    });
  });
});

describe("after an outage of a day", () => {
  const back = NOON + 5 * 60_000;
  const outage = { seenUntil: NOON - DAY };

  test("with none, every tick is missed", () => {
    const decision = decide(hourly({ ...outage, catchUp: "none" }), back);
    expect(shown(decision)).toEqual({ starts: [], missed: 24, skipped: 0, seenUntil: 0, next: 1 });
  });

  test("with last, the last starts a run", () => {
    const decision = decide(hourly({ ...outage, catchUp: "last" }), back);
    expect(shown(decision)).toEqual({ starts: [0], missed: 23, skipped: 0, seenUntil: 0, next: 1 });
  });

  test("with last, one that is on time needs no other", () => {
    const decision = decide(hourly({ ...outage, catchUp: "last" }), NOON + 1_000);
    expect(shown(decision)).toMatchObject({ starts: [0], missed: 23 });
  });

  test("with all, each starts a run, in order", () => {
    const decision = decide(hourly({ ...outage, catchUp: "all" }), back);
    const hours = Array.from({ length: 24 }, (_, hour) => hour - 23);
    expect(shown(decision)).toMatchObject({ starts: hours, missed: 0, next: 1 });
  });

  test("with all up to a limit, the latest do", () => {
    const decision = decide(hourly({ ...outage, catchUp: "all", catchUpLimit: 3 }), back);
    expect(shown(decision)).toMatchObject({ starts: [-2, -1, 0], missed: 21 });
  });

  test("more than one commit takes follow at once", () => {
    const all = hourly({ ...outage, catchUp: "all" });
    const first = decide(all, back, 10);
    expect(shown(first)).toMatchObject({ seenUntil: -14, missed: 0, next: -13 });
    expect(first.next?.due).toBe(back);
    const second = decide({ ...all, seenUntil: first.seenUntil }, back, 10);
    const third = decide({ ...all, seenUntil: second.seenUntil }, back, 10);
    const ticks = [first, second, third].flatMap(({ starts }) => starts);
    expect(new Set(ticks).size).toBe(24);
    expect(third).toMatchObject({ next: { tick: NOON + HOUR } });
  });

  test("at a transition of daylight saving time no tick is lost or doubled", () => {
    const until = Date.UTC(2026, 9, 25, 12, 5);
    const zone = { cron: "*/15 * * * *", timezone: "Australia/Lord_Howe", catchUp: "all" as const };
    const decision = decide(hourly({ ...zone, seenUntil: until - DAY }), until);
    expect(decision.starts).toHaveLength(96);
  });
});

describe("what comes too often to be gone through", () => {
  const since = { seenUntil: NOON - 30 * DAY };

  test.each(["* * * * *", "* * * * * *"])("%s is counted up to a bound, and goes on", (cron) => {
    const decision = decide(hourly({ ...since, cron, catchUp: "none" }), NOON + 500);
    expect(decision.missed + decision.starts.length).toBeGreaterThanOrEqual(MAX_WALKED);
    expect(decision.seenUntil).toBe(NOON);
    expect(decision.next?.tick).toBeGreaterThan(NOON);
  });

  test("is caught up with by its latest ticks", () => {
    const often = { ...since, cron: "* * * * *", catchUp: "all" as const, catchUpLimit: 1_000 };
    const latest = ticksAfter(cronOf("* * * * *", "UTC"), NOON - 1_001 * 60_000, 1_001);
    const { starts } = decide(hourly(often), NOON + 30_000, 2_000);
    expect(starts.slice(-1_001)).toEqual(latest);
  });

  test("also when all of it is long ago", () => {
    const rare = {
      cron: "* * * 1 JAN *",
      seenUntil: Date.UTC(2025, 11, 31),
      catchUp: "all" as const,
    };
    const { starts } = decide(hourly({ ...rare, catchUpLimit: 50 }), NOON, 100);
    expect(starts).toHaveLength(50);
    expect(starts.at(-1)).toBe(Date.UTC(2026, 0, 1, 23, 59, 59));
  });
});

describe("while the run before goes on", () => {
  const busy = { isPreviousUnfinished: true, lastRun: "run" };

  test("with allow, another starts", () => {
    expect(decide(hourly(busy), NOON)).toMatchObject({ starts: [NOON], cancelsPrevious: false });
  });

  test("with skip, the tick is skipped", () => {
    const decision = decide(hourly({ ...busy, overlap: "skip" }), NOON);
    expect(decision).toMatchObject({ starts: [], skipped: 1, lastSkipped: NOON, seenUntil: NOON });
  });

  test("with cancel-previous, that one is cancelled and another starts", () => {
    const decision = decide(hourly({ ...busy, overlap: "cancel-previous" }), NOON);
    expect(decision).toMatchObject({ starts: [NOON], skipped: 0, cancelsPrevious: true });
  });

  test.each(["skip", "cancel-previous"] as const)(
    "with %s, of several that are due at once one starts",
    (overlap) => {
      const late = hourly({ overlap, catchUp: "all", seenUntil: NOON - 4 * HOUR });
      expect(shown(decide(late, NOON))).toMatchObject({ starts: [0], skipped: 3, missed: 0 });
      expect(decide(late, NOON).cancelsPrevious).toBe(false);
    },
  );
});

test("a workflow that is paused with drop has its ticks skipped, and with hold not", () => {
  expect(decide(hourly({ paused: "drop" }), NOON)).toMatchObject({ starts: [], skipped: 1 });
  expect(decide(hourly({ paused: "hold" }), NOON)).toMatchObject({ starts: [NOON], skipped: 0 });
});

describe("jitter", () => {
  const jittered = hourly({ jitterMs: 600_000 });
  const due = dueOf(jittered, NOON);

  test("is the same for whoever asks, and another for each tick and schedule", () => {
    expect(dueOf(jittered, NOON)).toBe(due);
    const dues = Array.from({ length: 500 }, (_, n) => dueOf(jittered, n * HOUR) - n * HOUR);
    for (const late of dues) {
      expect(late).toBeGreaterThanOrEqual(0);
      expect(late).toBeLessThanOrEqual(600_000);
    }
    expect(new Set(dues.map((late) => Math.floor(late / 60_001))).size).toBe(10);
    expect(dueOf({ ...jittered, id: "another" }, NOON)).not.toBe(due);
  });

  test("is waited for", () => {
    expect(decide(jittered, due - 1)).toMatchObject({ starts: [], next: { tick: NOON, due } });
    expect(decide(jittered, due)).toMatchObject({ starts: [NOON], seenUntil: NOON });
  });

  test("does not make a tick late", () => {
    const strict = { ...jittered, catchUp: "none" as const };
    expect(decide(strict, due + CATCH_UP_GRACE_MS)).toMatchObject({ starts: [NOON], missed: 0 });
    expect(decide(strict, due + CATCH_UP_GRACE_MS + 1)).toMatchObject({ starts: [], missed: 1 });
  });
});
