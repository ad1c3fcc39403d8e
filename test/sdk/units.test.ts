/** Pure parts of the session: jitter, leases in virtual time, slots and their shares. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { expect, onTestFinished, test, vi } from "vitest";
import {
  MAX_HEARTBEAT_LIMIT_MS,
  MIN_HEARTBEAT_LIMIT_MS,
  PINGS_PER_LIMIT,
  RECONNECT_MAX_MS,
  RESUME_GRACE_MS,
} from "../../protocol/session.ts";
import { MAX_SESSION_SLOTS } from "../../protocol/limits.ts";
import { cutToBytes } from "../../sdk/json.ts";
import { Heartbeat, leaseMarginMs } from "../../sdk/session/heartbeat.ts";
import { reconnectDelayMs } from "../../sdk/session/reconnect.ts";
import { MAX_AWAY, Slots } from "../../sdk/session/slots.ts";
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
    graceMs: 6_000,
    isBusy: () => false,
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

test("a worker gives up before its shard does, whatever limit it asks for", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: MIN_HEARTBEAT_LIMIT_MS, max: MAX_HEARTBEAT_LIMIT_MS }),
      (limitMs) => {
        const marginMs = leaseMarginMs(limitMs);
        expect(marginMs).toBeGreaterThanOrEqual(400);
        // A ping that is sent and answered in its time comes before the end.
        expect(limitMs / PINGS_PER_LIMIT).toBeLessThan(limitMs - marginMs);
      },
    ),
  );
});

test("slots go to handlers that return, then to tasks in order, and never to more than there are", () => {
  const action = fc.constantFrom("take", "leave", "again", "stay", "back");
  const holder = fc.integer({ min: 0, max: 9 });
  const steps = fc.array(fc.tuple(action, holder), { minLength: 20, maxLength: 80 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), steps, (count, actions) => {
      const slots = new Slots<number>(count);
      const begun: number[] = [];
      // What is expected, as plainly as it can be said.
      const places = new Map<number, "held" | "away" | "returning" | "waiting">();
      const queue: number[] = [];
      const expected: number[] = [];
      const next = (place: string): number | undefined =>
        queue.find((other) => places.get(other) === place);
      for (const [action, holder] of actions) {
        const place = places.get(holder);
        if (action === "take" && place === undefined) {
          places.set(holder, "waiting");
          queue.push(holder);
        } else if (action === "leave" && place === "held") places.set(holder, "away");
        else if (action === "again" && place === "away") {
          places.set(holder, "returning");
          queue.push(holder);
        } else if (action === "stay" && place === "returning") {
          places.set(holder, "away");
          queue.splice(queue.indexOf(holder), 1);
        } else if (action === "back" && place !== undefined) {
          places.delete(holder);
          if (queue.includes(holder)) queue.splice(queue.indexOf(holder), 1);
        } else continue;
        while ([...places.values()].filter((place) => place === "held").length < count) {
          const chosen = next("returning") ?? next("waiting");
          if (chosen === undefined) break;
          queue.splice(queue.indexOf(chosen), 1);
          places.set(chosen, "held");
          expected.push(chosen);
        }
        if (action === "take") slots.take(holder, () => begun.push(holder));
        else if (action === "leave") expect(slots.leave(holder)).toBe(true);
        else if (action === "again") slots.takeAgain(holder, () => begun.push(holder));
        else if (action === "stay") slots.stayAway(holder);
        else slots.giveBack(holder);
        expect(begun).toEqual(expected);
        const waiting = [...places.values()].filter((place) => place === "waiting");
        expect(slots.waitingCount).toBe(waiting.length);
      }
    }),
  );
});

test("holders of several slots never have more together than there are, and none is left out", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      sizes,
      fc.infiniteStream(fc.nat()),
      (count, sizes, picks) => {
        const sizeOf = (holder: number): number => sizes[holder] ?? 0;
        const slots = new Slots<number>(count, sizeOf);
        const held: number[] = [];
        const begun: number[] = [];
        for (const holder of sizes.keys()) {
          slots.take(holder, () => {
            held.push(holder);
            begun.push(holder);
          });
        }
        for (const pick of picks) {
          const used = held.reduce((sum, holder) => sum + sizeOf(holder), 0);
          expect(held.length === 1 || used <= count).toBe(true);
          const [ended] = held.splice(pick % Math.max(1, held.length), 1);
          if (ended === undefined) break;
          slots.giveBack(ended);
        }
        expect(begun).toEqual([...sizes.keys()]); // in order, every one
      },
    ),
  );
});

test("no more handlers do without their slot than hello can list", () => {
  const slots = new Slots<number>(1);
  const begin = (): undefined => undefined;
  for (let holder = 0; holder < MAX_AWAY; holder += 1) {
    slots.take(holder, begin);
    expect(slots.leave(holder)).toBe(true);
  }
  slots.take(MAX_AWAY, begin);
  expect(slots.leave(MAX_AWAY)).toBe(false);
  slots.giveBack(0);
  expect(slots.leave(MAX_AWAY)).toBe(true);
  expect(MAX_AWAY + MAX_SESSION_SLOTS).toBeLessThan(2 * MAX_SESSION_SLOTS);
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
