/** Tenants that can take nothing are left alone, ever longer, until they take something again. */
import { expect, test } from "vitest";
import { BUSY_MAX_MS, retryMs, RETRY_MAX_MS, RETRY_MS } from "../../messages/limits.ts";
import { Rests } from "../../messages/rests.ts";

test("a tenant rests longer each time, up to a bound, and others don't", () => {
  const rests = new Rests();
  const waits = Array.from({ length: 8 }, (_, n) => rests.begin("busy", n * 100_000));
  expect(waits.slice(0, 3)).toEqual([RETRY_MS, 2 * RETRY_MS, 4 * RETRY_MS]);
  expect(Math.max(...waits)).toBe(BUSY_MAX_MS);
  const last = 7 * 100_000;
  expect(rests.isResting("busy", last + BUSY_MAX_MS - 1)).toBe(true);
  expect(rests.isResting("busy", last + BUSY_MAX_MS)).toBe(false);
  expect(rests.isResting("other", last)).toBe(false);
});

test("one that takes something has rested, once, and begins anew", () => {
  const rests = new Rests();
  rests.begin("busy", 0);
  rests.begin("busy", 2_000);
  expect(rests.end("busy")).toBe(true);
  expect(rests.end("busy")).toBe(false);
  expect(rests.isResting("busy", 2_001)).toBe(false);
  expect(rests.begin("busy", 9_000)).toBe(RETRY_MS);
});

test("a message waits longer the oftener it was brought, up to a minute", () => {
  expect([1, 2, 3].map(retryMs)).toEqual([RETRY_MS, 2 * RETRY_MS, 4 * RETRY_MS]);
  expect(retryMs(10_000)).toBe(RETRY_MAX_MS);
});
