/**
 * Cron expressions in a time zone: when their ticks come. The only file that knows croner. Pure.
 *
 * At a transition of daylight saving time an expression that names its hours comes once a day: in the
 * hour that is left out, at the first moment after it; in the one that comes twice, the first time. One
 * with `*` or a step among its times follows the clock: whatever it shows, when it shows it.
 */
import { Cron as Croner } from "croner";
import { place } from "../../expressions/errors.ts";
import type { FieldError } from "../../protocol/errors.ts";
import { checkFields, type CronFinding } from "./cron-fields.ts";
import { wrongInTimeZone } from "./time-zones.ts";

export interface Cron {
  /** The first tick after a moment; undefined: there is none. */
  next(after: number): number | undefined;
}

/** One that has been checked. */
export function cronOf(expression: string, timezone: string): Cron {
  const croner = new Croner(expression, {
    timezone,
    paused: true,
    fixedTimeRule: "no-wildcard",
  });
  return { next: (after) => croner.nextRun(new Date(after))?.getTime() };
}

/** The first ticks after a moment, at most so many. */
export function ticksAfter(cron: Cron, after: number, count: number): number[] {
  const ticks: number[] = [];
  for (let tick = cron.next(after); tick !== undefined && ticks.length < count;) {
    ticks.push(tick);
    tick = cron.next(tick);
  }
  return ticks;
}

/** Everything that is wrong with an expression and a zone, each with its place in the request. */
export function checkCron(
  { cron, timezone }: { cron: string; timezone: string },
  path = "",
): FieldError[] {
  const wrongZone = wrongInTimeZone(timezone);
  const ofZone = wrongZone === undefined ? [] : [{ path: `${path}timezone`, message: wrongZone }];
  const findings = checkFields(cron);
  if (findings.length > 0) {
    return [...findings.map((finding) => atPlace(cron, `${path}cron`, finding)), ...ofZone];
  }
  if (ofZone.length > 0 || cronOf(cron, timezone).next(Date.UTC(2000, 0)) !== undefined) {
    return ofZone;
  }
  const message = "never comes: no month that it names has that day";
  return [atPlace(cron, `${path}cron`, { message, start: 0, end: cron.length })];
}

function atPlace(source: string, path: string, { message, ...range }: CronFinding): FieldError {
  const { position, excerpt } = place(source, range);
  const where = position === undefined ? "" : `column ${position.column}: `;
  return {
    path,
    message: `${where}${message}`,
    ...(position && { position }),
    ...(excerpt !== undefined && { excerpt }),
  };
}
