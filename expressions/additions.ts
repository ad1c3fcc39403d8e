/**
 * Operators and functions that the library lacks and an expression over JSON needs. The shape of
 * JSON decides: its numbers are doubles, so `7` in the data must do arithmetic with the int `1` of
 * an expression. What a function costs is in `prices.ts`; one that has no price can't be called.
 */
import type { Environment } from "@marcbachmann/cel-js";
import type { Duration, UnsignedInt } from "@marcbachmann/cel-js/evaluator";

import { Refusal } from "./errors.ts";

const MAX_INT = 2n ** 63n - 1n;
const NANOS_PER_SECOND = 1_000_000_000n;
const TIMESTAMP = "google.protobuf.Timestamp";
const DURATION = "google.protobuf.Duration";

export function addOperators(environment: Environment): void {
  const arithmetic: Record<string, (a: number, b: number) => number> = {
    "+": (a, b) => a + b,
    "-": (a, b) => a - b,
    "*": (a, b) => a * b,
    "/": (a, b) => a / b,
    "%": (a, b) => a % b,
  };
  for (const [operator, apply] of Object.entries(arithmetic)) {
    const onNumbers = (a: unknown, b: unknown) => apply(Number(a), Number(b));
    environment.registerOperator(`double ${operator} int: double`, onNumbers);
    environment.registerOperator(`int ${operator} double: double`, onNumbers);
  }
  environment.registerOperator("double == int: bool", isSameNumber);

  const order: Record<string, (difference: number) => boolean> = {
    "<": (difference) => difference < 0,
    "<=": (difference) => difference <= 0,
    ">": (difference) => difference > 0,
    ">=": (difference) => difference >= 0,
  };
  for (const [operator, holds] of Object.entries(order)) {
    environment.registerOperator(`bytes ${operator} bytes: bool`, (a: Uint8Array, b: Uint8Array) =>
      holds(compareBytes(a, b)),
    );
  }
}

export function addFunctions(environment: Environment): void {
  const add = (signature: string, handler: (...values: never[]) => unknown) =>
    environment.registerFunction(signature, handler, { async: false });

  add("int(uint): int", (value: UnsignedInt) => checkInt(value.valueOf()));
  add(`int(${TIMESTAMP}): int`, (value: Date) => BigInt(Math.floor(value.getTime() / 1_000)));
  add(`string(${TIMESTAMP}): string`, formatTimestamp);
  add(`string(${DURATION}): string`, formatDuration);
  add(`timestamp(${TIMESTAMP}): ${TIMESTAMP}`, (value: Date) => value);
  add(`duration(${DURATION}): ${DURATION}`, (value: Duration) => value);
  add("string.charAt(int): string", charAt);
  add("string.replace(string, string): string", (text: string, old: string, by: string) =>
    text.replaceAll(old, () => by),
  );
  add("string.replace(string, string, int): string", replaceFirst);
  add("string.reverse(): string", (text: string) => [...text].toReversed().join(""));
  add("matches(string, string): bool", () => {
    throw new Error("matches() is replaced before it can be called");
  });
}

/** Loosely: that alone compares a double with an int without losing digits of either. */
const isSameNumber = (a: unknown, b: unknown): boolean => a == b;

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const index = a.findIndex((byte, at) => byte !== b[at]);
  return index === -1 || index >= b.length
    ? a.length - b.length
    : (a[index] ?? 0) - (b[index] ?? 0);
}

function checkInt(value: bigint): bigint {
  if (value <= MAX_INT) return value;
  throw new Refusal("evaluation_failed", "A number is too large for an int.");
}

export function formatTimestamp(value: Date): string {
  return value.toISOString().replace(/\.?0*Z$/, "Z");
}

/** Seconds with as many digits as it takes: `90s`, `-1.5s`. */
export function formatDuration({ seconds, nanos }: Duration): string {
  const total = seconds * NANOS_PER_SECOND + BigInt(nanos);
  const size = total < 0n ? -total : total;
  const fraction = `${size % NANOS_PER_SECOND}`.padStart(9, "0").replace(/0+$/, "");
  return `${total < 0n ? "-" : ""}${size / NANOS_PER_SECOND}${fraction && `.${fraction}`}s`;
}

function charAt(text: string, index: bigint): string {
  if (index >= 0n && index <= BigInt(text.length)) return text.charAt(Number(index));
  throw new Refusal("evaluation_failed", "charAt() is asked for a character beyond the text.");
}

function replaceFirst(text: string, old: string, by: string, count: bigint): string {
  let left = count < 0n ? Number.POSITIVE_INFINITY : Number(count);
  return text.replaceAll(old, (found) => (left-- > 0 ? by : found));
}
