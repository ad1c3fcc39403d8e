/**
 * Attacks on the only thread of a shard or an isolate, and what is made of them: whatever the
 * expression and the data, it ends in time, with an error or with a bounded answer.
 */
import { expect, test } from "vitest";
import type { Json } from "../../protocol/json.ts";
import { answer } from "./evaluating.ts";

/** On an idle machine; others may be using this one. */
const LIMIT_MS = 50;
const SLACK = 4;
/** The fastest counts; the first ones also pay for the compiler. */
const RUNS = 5;

export const TOO_MUCH = "error too_much_work";
export const MEGABYTE = "a".repeat(1_000_000);

interface Attack {
  source: string;
  input?: Json;
  other?: Json;
  expected: unknown;
}

/** Declares a test for each attack, by its name. */
export function attacks(cases: Record<string, Attack>): void {
  test.each(Object.entries(cases))("%s", (_, { source, input = null, other = null, expected }) => {
    let fastestMs = Number.POSITIVE_INFINITY;
    for (let run = 0; run < RUNS && fastestMs >= LIMIT_MS; run++) {
      const began = processorMs();
      const answered = answer(source, input, other);
      fastestMs = Math.min(fastestMs, processorMs() - began);
      expect(answered).toEqual(expected);
    }
    expect(fastestMs).toBeLessThan(LIMIT_MS * SLACK);
  });
}

/** Of this thread: what else the machine does is not the expression's doing. */
function processorMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

export function listOf(length: number, element: (index: number) => Json): Json[] {
  return Array.from({ length }, (_, index) => element(index));
}

export function joined(length: number, part: (index: number) => string, by = ""): string {
  return listOf(length, part).join(by);
}
