/**
 * Ticks around every change of the clock in three zones, held against a model that goes through all minutes and
 * looks at what the zone's clock shows.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cronOf } from "../../workers/schedules/cron.ts";

const MINUTE = 60_000;
const DAY = 86_400_000;

/** Days at whose beginning, in UTC, a change is less than two days away. */
const CHANGES: [zone: string, forward: string, back: string][] = [
  ["Europe/Berlin", "2026-03-28", "2026-10-24"],
  ["America/New_York", "2026-03-07", "2026-10-31"],
  ["Australia/Lord_Howe", "2026-10-02", "2026-04-03"],
];

interface Shown {
  /** Minutes since 1970, as if what the clock shows were UTC. */
  local: number;
  hour: number;
  minute: number;
}

function clockOf(timeZone: string): (ms: number) => Shown {
  const format = new Intl.DateTimeFormat("en-GB", {
    timeZone,
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    hourCycle: "h23",
  });
  return (ms) => {
    const parts = Object.fromEntries(
      format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]),
    );
    const { year = 0, month = 0, day = 0, hour = 0, minute = 0 } = parts;
    return { local: Date.UTC(year, month - 1, day, hour, minute) / MINUTE, hour, minute };
  };
}

/** Every minute of three days, with what the clock shows. */
function minutesFrom(day: string, zone: string): { at: number; shown: Shown }[] {
  const clock = clockOf(zone);
  const from = Date.parse(`${day}T00:00:00Z`);
  return Array.from({ length: (3 * DAY) / MINUTE }, (_, n) => {
    const at = from + n * MINUTE;
    return { at, shown: clock(at) };
  });
}

type Values = number[];
type Minutes = ReturnType<typeof minutesFrom>;

/** Whatever the clock shows, when it shows it. */
function ofWildcards(minutes: Minutes, hours: Values, wanted: Values): number[] {
  return minutes
    .filter(({ shown }) => hours.includes(shown.hour) && wanted.includes(shown.minute))
    .map(({ at }) => at);
}

/** Each time of the day once: the first time, or right after the gap that it is in. */
function ofTimes(minutes: Minutes, hours: Values, wanted: Values): number[] {
  const seen = new Set<number>();
  const ticks: number[] = [];
  let latest = (minutes[0]?.shown.local ?? 0) - 1;
  for (const { at, shown } of minutes) {
    const passed: number[] = [];
    for (let local = latest + 1; local <= shown.local; local++) passed.push(local);
    latest = Math.max(latest, shown.local);
    const isTick = passed.some((local) => {
      const [hour, minute] = [Math.floor(local / 60) % 24, local % 60];
      if (!hours.includes(hour) || !wanted.includes(minute) || seen.has(local)) return false;
      seen.add(local);
      return true;
    });
    if (isTick) ticks.push(at);
  }
  return ticks;
}

const hour = fc.integer({ min: 0, max: 4 }); // where the changes are
const hours = fc.uniqueArray(hour, { minLength: 1, maxLength: 3 });
const minutes = fc.uniqueArray(fc.integer({ min: 0, max: 59 }), { minLength: 1, maxLength: 4 });
const all = (most: number): Values => Array.from({ length: most }, (_, n) => n);

describe.each(CHANGES)("in %s", (zone, forward, back) => {
  test.each([forward, back])("around %s", (day) => {
    const known = minutesFrom(day, zone);
    const [first, last] = [known[0]?.at ?? 0, known.at(-1)?.at ?? 0];
    const found = (source: string): number[] => {
      const ticks: number[] = [];
      const cron = cronOf(source, zone);
      for (let tick = cron.next(first - 1); tick && tick <= last; tick = cron.next(tick)) {
        ticks.push(tick);
      }
      return ticks;
    };
    fc.assert(
      fc.property(hours, minutes, fc.integer({ min: 1, max: 30 }), (someHours, some, step) => {
        const fixed = `${some.join(",")} ${someHours.join(",")} * * *`;
        expect(found(fixed), fixed).toEqual(ofTimes(known, someHours, some));
        const everyHour = `${some.join(",")} * * * *`;
        expect(found(everyHour), everyHour).toEqual(ofWildcards(known, all(24), some));
        const stepped = `*/${step} ${someHours.join(",")} * * *`;
        const wanted = all(60).filter((minute) => minute % step === 0);
        expect(found(stepped), stepped).toEqual(ofWildcards(known, someHours, wanted));
      }),
      { numRuns: 6 },
    );
  });
});
