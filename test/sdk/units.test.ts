/** Pure parts of the session: jitter, leases in virtual time, shares of slots. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { expect, onTestFinished, test, vi } from "vitest";
import { RECONNECT_MAX_MS, RESUME_GRACE_MS } from "../../protocol/session.ts";
import { cutToBytes } from "../../sdk/json.ts";
import { slotsOf } from "../../sdk/session/fleet.ts";
import { Heartbeat, leaseMarginMs } from "../../sdk/session/heartbeat.ts";
import { reconnectDelayMs } from "../../sdk/session/reconnect.ts";
import { SDK_VERSION } from "../../sdk/version.ts";

test("reconnects wait a uniform share of a bound that doubles up to its limit", () => {
  const bounds = [0, 1, 2, 3, 4, 5, 60].map((failures) => reconnectDelayMs(failures, () => 1));
  expect(bounds).toEqual([250, 500, 1_000, 2_000, 4_000, 4_000, 4_000]);
  expect(reconnectDelayMs(3, () => 0)).toBe(0);
  expect(reconnectDelayMs(3, () => 0.25)).toBe(500);
});

test("the longest wait of a reconnect ends before the handlers are given up", () => {
  expect(RECONNECT_MAX_MS).toBeLessThan(RESUME_GRACE_MS - leaseMarginMs(RESUME_GRACE_MS));
});

test("leases end a margin before the shard's limit, counted from the last answered ping", () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const pings: number[] = [];
  let endedAt = 0;
  const heartbeat = new Heartbeat(Date.now(), {
    pingIntervalMs: 10_000,
    limitMs: 30_000,
    ping: () => pings.push(Date.now()),
    onEnd: () => {
      endedAt = Date.now();
    },
  });
  const start = Date.now();
  vi.advanceTimersByTime(15_000);
  heartbeat.pong(); // Of the ping at 10 s: what the shard has surely heard.
  vi.advanceTimersByTime(60_000);
  expect(endedAt - start).toBe(10_000 + 30_000 - leaseMarginMs(30_000));
  expect(pings.map((at) => at - start)).toEqual([10_000, 20_000, 30_000]);
});

test("every slot is shared out, evenly, and no shard is left with none", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.integer({ min: 1, max: 64 }),
      (slots, count) => {
        const shares = Array.from({ length: count }, (_, index) => slotsOf(slots, count, index));
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
        expect(shares.reduce((sum, share) => sum + share)).toBe(Math.max(slots, count));
      },
    ),
  );
});

test("a text is cut within its bytes, never inside a character", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "grapheme", maxLength: 60 }),
      fc.integer({ min: 20, max: 60 }),
      (text, limit) => {
        const cut = cutToBytes(text, limit);
        expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(limit);
        expect(cut.isWellFormed()).toBe(true);
        if (Buffer.byteLength(text) <= limit) expect(cut).toBe(text);
      },
    ),
  );
});

test("the version that workers say is the package's", async () => {
  const manifest = await readFile(join(import.meta.dirname, "../../sdk/package.json"), "utf8");
  expect(JSON.parse(manifest)).toMatchObject({ version: SDK_VERSION });
});
