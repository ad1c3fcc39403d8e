/**
 * Functions of the library that are called by an expression and done here instead: because the
 * library's can hang, or because they differ from what CEL says of them.
 */
import { Duration } from "@marcbachmann/cel-js/evaluator";

import type { Allowance } from "./allowance.ts";
import { Refusal } from "./errors.ts";
import { matchPattern } from "./patterns.ts";
import type { Operands } from "./prices.ts";

/** The function's value, or undefined when these operands are for the library after all. */
type Replacement = (operands: Operands, allowance: Allowance) => unknown;

export const REPLACEMENTS: ReadonlyMap<string, Replacement> = new Map<string, Replacement>([
  [
    "matches", // by RE2 instead of the platform's backtracking
    ([text, pattern], allowance) =>
      typeof text === "string" && typeof pattern === "string"
        ? matchPattern(text, pattern, allowance)
        : undefined,
  ],
  ["lowerAscii", ([text]) => changeLetters(text, /[A-Z]+/g, (part) => part.toLowerCase())],
  ["upperAscii", ([text]) => changeLetters(text, /[a-z]+/g, (part) => part.toUpperCase())],
  [
    "getMilliseconds", // of a duration: the part below a second, not the whole
    ([value]) =>
      value instanceof Duration ? BigInt(Math.trunc(value.nanos / 1_000_000)) : undefined,
  ],
  [
    "timestamp", // the platform takes 30 February for 2 March
    ([text]) => {
      if (typeof text === "string" && !isTimestamp(text)) {
        throw new Refusal(
          "evaluation_failed",
          'timestamp() takes a day and time that exist, such as "2026-02-28T12:00:00Z".',
        );
      }
      return undefined;
    },
  ],
]);

/** Letters beyond ASCII are left alone. */
function changeLetters(
  text: unknown,
  letters: RegExp,
  change: (part: string) => string,
): string | undefined {
  return typeof text === "string" ? text.replace(letters, change) : undefined;
}

/** RFC 3339, on a day that its month has. */
function isTimestamp(text: string): boolean {
  const parts = /^(\d{4})-(\d\d)-(\d\d)T\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/.exec(
    text,
  );
  if (parts === null) return false;
  const [, year, month, day] = parts.map(Number);
  const date = new Date(0);
  date.setUTCFullYear(year ?? 0, (month ?? 0) - 1, day);
  return date.getUTCDate() === day;
}
