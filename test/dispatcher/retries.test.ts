/** Whether a failed attempt is followed by another, and after how long. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { RetryPolicy } from "../../database/definition-rows.ts";
import { type Failure, retryDelayMs } from "../../durable-objects/dispatcher/retries.ts";
import { MAX_BACKOFF_MS } from "../../protocol/limits.ts";

const POLICY: RetryPolicy = {
  retries: 3,
  backoff: { initialMs: 100, factor: 3, maxMs: 1_000, jitter: 0 },
};

function failure(part: Partial<Failure> = {}): Failure {
  const error = { code: "handler_error" as const, name: "Error", message: "no" };
  return { error, attempt: 1, failures: 0, ...part };
}

const never = { random: () => 0, allows: () => false };
const always = { random: () => 0, allows: () => true };

test("each wait is longer than the one before, up to the longest", () => {
  const waits = [0, 1, 2].map((failures) => retryDelayMs(POLICY, failure({ failures }), always));
  expect(waits).toEqual([100, 300, 900]);
  const policy = { ...POLICY, retries: 100 };
  expect(retryDelayMs(policy, failure({ failures: 99 }), always)).toBe(1_000);
});

test("there are as many retries as the step has, and none without", () => {
  expect(retryDelayMs(POLICY, failure({ failures: 3 }), always)).toBeUndefined();
  expect(retryDelayMs(undefined, failure(), always)).toBeUndefined();
});

test("attempts that were lost with their worker are no retries", () => {
  expect(retryDelayMs(POLICY, failure({ attempt: 9, failures: 1 }), always)).toBe(300);
});

test("jitter takes away at most its part of a wait, and adds nothing", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (jitter, chance) => {
        const policy = { ...POLICY, backoff: { ...POLICY.backoff, jitter } };
        const waitMs = retryDelayMs(policy, failure(), { ...always, random: () => chance });
        expect(waitMs).toBeGreaterThanOrEqual(Math.floor(100 * (1 - jitter)));
        expect(waitMs).toBeLessThanOrEqual(100);
      },
    ),
  );
});

test("an error may ask for its own wait, within a day", () => {
  const asking = (retryAfterMs: number): Failure => {
    const { error } = failure();
    return failure({ error: { ...error, retryAfterMs } });
  };
  expect(retryDelayMs(POLICY, asking(5), always)).toBe(5);
  expect(retryDelayMs(POLICY, asking(2 * MAX_BACKOFF_MS), always)).toBe(MAX_BACKOFF_MS);
});

test.each([
  ["that says so", { code: "handler_error", isRetryable: false }],
  ["of an output that is too large", { code: "payload_too_large" }],
  ["of an output that can't be stored", { code: "invalid_output" }],
] as const)("an error %s ends the retries", (_, part) => {
  const error = { ...failure().error, ...part };
  expect(retryDelayMs(POLICY, failure({ error }), always)).toBeUndefined();
});

test("a step's condition is asked, and only where there could be another attempt", () => {
  const policy = { ...POLICY, retryIf: "error.name == 'Busy'" };
  expect(retryDelayMs(policy, failure(), never)).toBeUndefined();
  expect(retryDelayMs(policy, failure(), always)).toBe(100);
  const asked: string[] = [];
  const listening = { random: () => 0, allows: (text: string) => asked.push(text) > 0 };
  retryDelayMs(policy, failure({ failures: 3 }), listening);
  expect(asked).toEqual([]);
  retryDelayMs(policy, failure(), listening);
  expect(asked).toEqual(["error.name == 'Busy'"]);
});
