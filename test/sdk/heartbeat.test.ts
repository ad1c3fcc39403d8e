/**
 * How a worker knows that its leases hold: by what the shard has answered, and not by a socket that nobody has
 * told it is broken.
 */
import * as fc from "fast-check";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { Heartbeat, leaseMarginMs, SHORTEST_TRUST_MS } from "../../sdk/session/heartbeat.ts";
import {
  HEARTBEAT_LIMIT_MS,
  MAX_RESUME_GRACE_MS,
  RECONNECT_MAX_MS,
  RESUME_GRACE_MS,
} from "../../protocol/session.ts";

const ANSWER_MS = 50;
const INTERVAL_MS = HEARTBEAT_LIMIT_MS / 3;

beforeEach(() => {
  vi.useFakeTimers();
  onTestFinished(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });
});

/** A worker's heartbeat, and a shard that answers until its socket breaks. */
class Scene {
  readonly start = Date.now();
  readonly pings: number[] = [];
  readonly heartbeat: Heartbeat;
  /** When the shard has last had a socket: from then on it waits its grace at most. */
  shardHeardAt = this.start;
  isBroken = false;
  isBusy: boolean;
  endedAt: number | undefined;
  #blockedUntil = 0;

  constructor({ graceMs = RESUME_GRACE_MS, isBusy = false, answerMs = ANSWER_MS } = {}) {
    this.isBusy = isBusy;
    vi.spyOn(Date, "now").mockImplementation(() => Math.max(clock(), this.#blockedUntil));
    this.heartbeat = new Heartbeat(this.start, {
      pingIntervalMs: INTERVAL_MS,
      limitMs: HEARTBEAT_LIMIT_MS,
      graceMs,
      isBusy: () => this.isBusy,
      ping: () => {
        this.pings.push(this.now);
        if (this.isBroken) return;
        this.shardHeardAt = Date.now();
        setTimeout(
          () => {
            if (!this.isBroken) this.heartbeat.pong();
          },
          Date.now() - clock() + answerMs,
        );
      },
      onEnd: () => {
        this.endedAt = this.now;
      },
    });
  }

  get now(): number {
    return Date.now() - this.start;
  }

  takeTask(): void {
    this.isBusy = true;
    this.heartbeat.heed();
  }

  /** The program does nothing for so long, and then everything that is due. */
  block(ms: number): void {
    this.#blockedUntil = Date.now() + ms;
    vi.advanceTimersByTime(ms);
  }
}

/** The time at which a timer is due that fires now, whenever that is. */
const clock = (): number => new Date().getTime();

test("a worker at work gives up before its shard can, however late it hears of a broken socket", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: SHORTEST_TRUST_MS, max: MAX_RESUME_GRACE_MS }),
      fc.integer({ min: 0, max: 90_000 }),
      fc.boolean(),
      (graceMs, breaksAt, isBusy) => {
        const scene = new Scene({ graceMs, isBusy });
        if (!isBusy) scene.takeTask();
        vi.advanceTimersByTime(breaksAt);
        expect(scene.endedAt).toBeUndefined();
        scene.isBroken = true;
        vi.advanceTimersByTime(graceMs);
        const kept = Math.min(graceMs, HEARTBEAT_LIMIT_MS);
        const shardEndsAt = scene.shardHeardAt - scene.start + kept;
        expect(scene.endedAt).toBeLessThanOrEqual(shardEndsAt - leaseMarginMs(kept));
        vi.clearAllTimers();
      },
    ),
    { numRuns: 50 },
  );
});

test("with little left to come back in when a socket breaks, there is still enough", () => {
  const scene = new Scene({ isBusy: true });
  vi.advanceTimersByTime(60_000);
  scene.isBroken = true;
  const leftMs = scene.heartbeat.endsAt - Date.now();
  expect(leftMs).toBeGreaterThanOrEqual(RECONNECT_MAX_MS - ANSWER_MS);
});

test("answers that take seconds keep a worker at work", () => {
  const scene = new Scene({ isBusy: true, answerMs: 3_500 });
  vi.advanceTimersByTime(5 * 60_000);
  expect(scene.endedAt).toBeUndefined();
});

test("only a worker at work asks often; one that isn't pings as it was told to", () => {
  const scene = new Scene();
  vi.advanceTimersByTime(3 * INTERVAL_MS);
  expect(scene.pings).toEqual([1, 2, 3].map((count) => count * INTERVAL_MS));
  scene.takeTask();
  scene.takeTask();
  vi.advanceTimersByTime(3_000);
  const busy = [0, 1_000, 2_000, 3_000].map((ms) => 3 * INTERVAL_MS + ms);
  expect(scene.pings.slice(3)).toEqual(busy);
  scene.isBusy = false;
  const { length } = scene.pings;
  vi.advanceTimersByTime(1_000 + 3 * INTERVAL_MS);
  expect(scene.pings).toHaveLength(length + 3);
  scene.isBroken = true;
  vi.advanceTimersByTime(RESUME_GRACE_MS); // it has nothing to give up
  expect(scene.endedAt).toBeUndefined();
});

test.each([4_500, 5_500, 20_000])(
  "a program that was blocked for %i ms asks first, and goes on when it is answered",
  (ms) => {
    const scene = new Scene({ isBusy: true, answerMs: 200 });
    vi.advanceTimersByTime(2_100);
    scene.block(ms);
    vi.advanceTimersByTime(60_000);
    expect(scene.endedAt).toBeUndefined();
  },
);

test("a program that was blocked and gets no answer gives up soon; for longer than the limit, at once", () => {
  for (const [blockMs, mostMs] of [
    [20_000, leaseMarginMs(RESUME_GRACE_MS) / 2],
    [HEARTBEAT_LIMIT_MS, 0],
  ] as const) {
    const scene = new Scene({ isBusy: true });
    vi.advanceTimersByTime(2_500);
    scene.isBroken = true;
    scene.block(blockMs);
    const backAt = scene.now;
    vi.advanceTimersByTime(60_000);
    expect((scene.endedAt ?? Infinity) - backAt).toBe(mostMs);
    vi.clearAllTimers();
  }
});

test("with a grace that is too short for answers, a worker is told by its socket", () => {
  const scene = new Scene({ isBusy: true, graceMs: SHORTEST_TRUST_MS - 1 });
  vi.advanceTimersByTime(INTERVAL_MS);
  expect(scene.pings).toEqual([INTERVAL_MS]);
  scene.isBroken = true;
  vi.advanceTimersByTime(RESUME_GRACE_MS);
  expect(scene.endedAt).toBeUndefined();
});
