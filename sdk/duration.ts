/**
 * Durations as people write them. Everything past this file is milliseconds; nothing here rounds a
 * mistake into a working number.
 */
import { DefinitionError } from "./errors.ts";

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
type Unit = keyof typeof UNIT_MS;

/** Milliseconds as a number, or a number with a unit: `"500ms"`, `"30s"`, `"5m"`, `"1.5h"`, `"1d"`. */
export type Duration = number | `${number}${Unit}`;

const PATTERN = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;

/** Milliseconds in `duration`; `what` names it in the error a bad one throws. */
export function durationMs(duration: Duration, what: string, maximumMs: number): number {
  const ms = typeof duration === "number" ? duration : textMs(duration);
  if (!Number.isFinite(ms) || ms <= 0) {
    throw new DefinitionError(
      `${what} is ${JSON.stringify(duration)}: give milliseconds above 0, or a text such as "30s", "5m", "1h" or "1d"`,
    );
  }
  if (ms > maximumMs) {
    throw new DefinitionError(`${what} is ${ms} ms: the most it can be is ${maximumMs} ms`);
  }
  return Math.ceil(ms);
}

function textMs(text: string): number {
  const match = PATTERN.exec(text);
  if (match === null) return Number.NaN;
  return Number(match[1]) * UNIT_MS[match[2] as Unit];
}
