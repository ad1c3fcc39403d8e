/**
 * Durations as people write them. Everything past this file is milliseconds; nothing here rounds a
 * mistake into a working number.
 */
import { DefinitionError } from "./errors.ts";

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
type Unit = keyof typeof UNIT_MS;

/** Milliseconds as a number, or a number with a unit: `"500ms"`, `"30s"`, `"5m"`, `"1.5h"`, `"1d"`. */
export type Duration = number | `${number}${Unit}`;

export interface DurationBounds {
  /** Default 1. */
  minimumMs?: number;
  maximumMs: number;
}

const PATTERN = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;

/** Milliseconds in `duration`; `what` names it in the `DefinitionError` a bad one throws. */
export function durationMs(
  duration: Duration,
  what: string,
  { minimumMs = 1, maximumMs }: DurationBounds,
): number {
  const ms = readDuration(duration);
  // Written so that what is no number at all is refused, too.
  if (!(ms >= minimumMs)) {
    const given = typeof duration === "number" ? duration : JSON.stringify(duration);
    throw new DefinitionError(
      `${what} is ${given}: give at least ${minimumMs} ms, as a number or as a text such as "30s", "5m", "1h" or "1d"`,
    );
  }
  if (ms > maximumMs) {
    throw new DefinitionError(`${what} is ${ms} ms: the most it can be is ${maximumMs} ms`);
  }
  return Math.ceil(ms);
}

/** Milliseconds in `duration`, unchecked; not a number when it can't be read. */
export function readDuration(duration: Duration): number {
  if (typeof duration === "number") return duration;
  const match = PATTERN.exec(duration);
  if (match === null) return Number.NaN;
  return Number(match[1]) * UNIT_MS[match[2] as Unit];
}
