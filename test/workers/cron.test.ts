/** Cron expressions: when their ticks come in zones with daylight saving time, and what is wrong with one. */
import { describe, expect, test } from "vitest";
import { checkCron, cronOf, ticksAfter } from "../../workers/schedules/cron.ts";
import { localTime } from "../../workers/schedules/stored.ts";

/** The first ticks after a moment, as the zone's clock shows them. */
function ticks(cron: string, timezone: string, after: string, count: number): string[] {
  return ticksAfter(cronOf(cron, timezone), Date.parse(after), count).map((tick) =>
    localTime(tick, timezone).slice(4),
  );
}

describe("when the clock goes forward", () => {
  test.each([
    [
      "Europe/Berlin",
      "30 2 * * *",
      "2026-03-27T22:00:00Z",
      ["2026-03-28 02:30:00 GMT+1", "2026-03-29 03:00:00 GMT+2", "2026-03-30 02:30:00 GMT+2"],
    ],
    [
      "America/New_York",
      "30 2 * * *",
      "2026-03-07T12:00:00Z",
      ["2026-03-08 03:00:00 GMT-4", "2026-03-09 02:30:00 GMT-4", "2026-03-10 02:30:00 GMT-4"],
    ],
    [
      "Australia/Lord_Howe", // by half an hour
      "15 2 * * *",
      "2026-10-02T22:00:00Z",
      ["2026-10-04 02:30:00 GMT+11", "2026-10-05 02:15:00 GMT+11", "2026-10-06 02:15:00 GMT+11"],
    ],
  ])("in %s, a time that is left out comes right after the gap", (zone, cron, after, expected) => {
    expect(ticks(cron, zone, after, 3)).toEqual(expected);
  });

  test.each([
    ["Europe/Berlin", "2026-03-29T00:00:00Z", "03:00:00 GMT+2"],
    ["America/New_York", "2026-03-08T06:00:00Z", "03:00:00 GMT-4"],
    ["Australia/Lord_Howe", "2026-10-03T15:00:00Z", "02:30:00 GMT+11"],
  ])("in %s, what comes every half hour goes on without a pause", (zone, after, first) => {
    const found = ticksAfter(cronOf("*/30 * * * *", zone), Date.parse(after), 4);
    const gaps = found.slice(1).map((tick, index) => (tick - (found[index] ?? 0)) / 60_000);
    expect(gaps).toEqual([30, 30, 30]);
    expect(found.map((tick) => localTime(tick, zone).slice(15))).toContain(first);
  });
});

describe("when the clock goes back", () => {
  test.each([
    [
      "Europe/Berlin",
      "30 2 * * *",
      "2026-10-24T12:00:00Z",
      ["2026-10-25 02:30:00 GMT+2", "2026-10-26 02:30:00 GMT+1"],
    ],
    [
      "America/New_York",
      "30 1 * * *",
      "2026-10-31T12:00:00Z",
      ["2026-11-01 01:30:00 GMT-4", "2026-11-02 01:30:00 GMT-5"],
    ],
    [
      "Australia/Lord_Howe",
      "45 1 * * *",
      "2026-04-04T12:00:00Z",
      ["2026-04-05 01:45:00 GMT+11", "2026-04-06 01:45:00 GMT+10:30"],
    ],
  ])("in %s, a time that comes twice is a tick the first time", (zone, cron, after, expected) => {
    expect(ticks(cron, zone, after, 2)).toEqual(expected);
  });

  test("so is each of a list of times", () => {
    expect(ticks("0,30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 3)).toEqual([
      "2026-10-25 02:00:00 GMT+2",
      "2026-10-25 02:30:00 GMT+2",
      "2026-10-26 02:00:00 GMT+1",
    ]);
  });

  test.each([
    ["Europe/Berlin", "2026-10-24T23:59:00Z", 8],
    ["America/New_York", "2026-11-01T04:59:00Z", 8],
    ["Australia/Lord_Howe", "2026-04-04T13:59:00Z", 6],
  ])("in %s, what comes every quarter hour comes in both hours", (zone, after, count) => {
    const found = ticksAfter(cronOf("*/15 * * * *", zone), Date.parse(after), count);
    const gaps = found.slice(1).map((tick, index) => (tick - (found[index] ?? 0)) / 60_000);
    expect(new Set(gaps)).toEqual(new Set([15]));
  });
});

describe("a year", () => {
  test.each(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])(
    "of days in %s has a tick on each of them, in order",
    (zone) => {
      const found = ticks("30 2 * * *", zone, "2027-12-31T22:00:00Z", 366);
      const days = found.map((tick) => tick.slice(0, 10));
      expect(new Set(days).size).toBe(366);
      expect(days.toSorted()).toEqual(days);
    },
  );

  test("that is a leap year has its day", () => {
    expect(ticks("0 9 29 2 *", "Europe/Berlin", "2026-06-01T00:00:00Z", 2)).toEqual([
      "2028-02-29 09:00:00 GMT+1",
      "2032-02-29 09:00:00 GMT+1",
    ]);
    expect(ticks("0 0 L 2 *", "UTC", "2027-01-01T00:00:00Z", 2)).toEqual([
      "2027-02-28 00:00:00 GMT+0",
      "2028-02-29 00:00:00 GMT+0",
    ]);
  });
});

describe("an expression", () => {
  test("with six fields begins with seconds", () => {
    expect(ticks("*/20 0 12 * * *", "UTC", "2026-01-01T00:00:00Z", 4)).toEqual([
      "2026-01-01 12:00:00 GMT+0",
      "2026-01-01 12:00:20 GMT+0",
      "2026-01-01 12:00:40 GMT+0",
      "2026-01-02 12:00:00 GMT+0",
    ]);
  });

  test("with both kinds of days comes on either", () => {
    expect(ticks("0 0 13 * FRI", "UTC", "2026-02-10T00:00:00Z", 3)).toEqual([
      "2026-02-13 00:00:00 GMT+0",
      "2026-02-20 00:00:00 GMT+0",
      "2026-02-27 00:00:00 GMT+0",
    ]);
  });

  test.each([
    "* * * * *",
    "0 9-17/2 1,15 JAN-JUN mon-fri",
    "@daily",
    "0 0 L * *",
    "0 9 * * MON#1",
    "0 9 * * 5L",
    "59 59 23 31 12 7",
  ])("%s is one", (cron) => {
    expect(checkCron({ cron, timezone: "Europe/Berlin" })).toEqual([]);
    expect(cronOf(cron, "Europe/Berlin").next(Date.UTC(2026, 0))).toBeDefined();
  });
});

const WRONG: [cron: string, message: string, excerpt: string][] = [
  [
    "60 * * * *",
    "column 1: minute: 60 is not within 0 and 59: the full hour is 0",
    "60 * * * *\n^",
  ],
  ["0 24 * * *", "column 3: hour: 24 is not within 0 and 23: midnight is 0", "0 24 * * *\n  ^"],
  [
    "0 0 0 * *",
    "column 5: day of the month: 0 is not within 1 and 31: the first day is 1",
    "0 0 0 * *\n    ^",
  ],
  [
    "0 9 * * MONDAY",
    'column 9: day of the week: "MONDAY" is no value: did you mean MON?',
    "0 9 * * MONDAY\n        ^",
  ],
  ["0 9 * FEV *", 'column 7: month: "FEV" is no value: did you mean FEB?', "0 9 * FEV *\n      ^"],
  ["0 x * * *", 'column 3: hour: "X" is no value: give 0 to 23, or *', "0 x * * *\n  ^"],
  [
    "0 9,,10 * * *",
    "column 5: hour: there is nothing between the commas: leave one out",
    "0 9,,10 * * *\n    ^",
  ],
  ["0 22-6 * * *", 'column 3: hour: "22-6" runs backwards: write 22-23,0-6', "0 22-6 * * *\n  ^"],
  [
    "5/10 * * * *",
    'column 1: minute: "5/10" has a step and no range: write 5-59/10, or */10',
    "5/10 * * * *\n^",
  ],
  ["*/0 * * * *", 'column 1: minute: "0" is no step: give 1 to 60, as in */5', "*/0 * * * *\n^"],
  ["0 0 31 2 *", "column 1: never comes: no month that it names has that day", "0 0 31 2 *\n^"],
  [
    "@dayly",
    "column 1: is no nickname that there is: use one of @hourly, @daily, @weekly, @monthly, @yearly",
    "@dayly\n^",
  ],
];

describe("what is wrong", () => {
  test.each(WRONG)("with %s is said where it is", (cron, message, excerpt) => {
    const [finding, ...others] = checkCron({ cron, timezone: "UTC" });
    expect(finding).toMatchObject({ path: "cron", message, excerpt });
    expect(others).toEqual([]);
  });

  test("with the number of fields", () => {
    expect(checkCron({ cron: "0 9 * *", timezone: "UTC" })).toMatchObject([
      { message: expect.stringMatching(/^column 8: has 4 fields: give minute, hour/) },
    ]);
    expect(checkCron({ cron: "0 0 9 * * MON 2026", timezone: "UTC" })).toMatchObject([
      { message: expect.stringMatching(/^column 15: has 7 fields, and there are at most 6/) },
    ]);
    expect(checkCron({ cron: " ", timezone: "UTC" })).toHaveLength(1);
  });

  test("in several places is said of each", () => {
    const cron = "61 25 * 13 *";
    const findings = checkCron({ cron, timezone: "Nowhere" }, "crons[2].");
    expect(findings.map(({ path, position }) => [path, position?.column])).toEqual([
      ["crons[2].cron", 1],
      ["crons[2].cron", 4],
      ["crons[2].cron", 9],
      ["crons[2].timezone", undefined],
    ]);
  });

  test.each([
    ["Europe/Berlim", "did you mean Europe/Berlin?"],
    ["berlin", "did you mean Europe/Berlin?"],
    ["America/NewYork", "did you mean America/New_York?"],
    ["Australia/LordHowe", "did you mean Australia/Lord_Howe?"],
    ["Germany/Berlin", "did you mean Europe/Berlin?"],
    ["zzzzzzzzz", "give one such as Europe/Berlin, or UTC"],
    ["+02:00", "is an offset, and knows no daylight saving time"],
    ["GMT+2", "is an offset, and knows no daylight saving time"],
  ])("with the zone %s comes with what was meant", (timezone, hint) => {
    expect(checkCron({ cron: "* * * * *", timezone })).toMatchObject([
      { path: "timezone", message: expect.stringContaining(hint) },
    ]);
  });
});
