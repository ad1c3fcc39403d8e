/** Workers that take no tasks for a while, or no more, and how long they may be away. */
import { expect, onTestFinished, test, vi } from "vitest";
import { CLOSE_DRAINED } from "../../protocol/errors.ts";
import { Client, DefinitionError, worker, workflow } from "../../sdk/index.ts";
import { Heartbeat, leaseMarginMs } from "../../sdk/session/heartbeat.ts";
import { problem, task, TOKEN } from "./fake-shard.ts";
import { createWorld, signalOf } from "./world.ts";

test("a paused worker tells its shards, and tells them again on every socket until it is resumed", async () => {
  const { connect, shard, calls } = await createWorld();
  const { session: first, worker: made } = await connect();
  first.send(task());
  const call = await calls.next("a call");
  made.pause();
  expect(made.isPaused).toBe(true);
  await first.next("pause");
  expect(call.ctx.signal.aborted).toBe(false);
  first.vanish();
  const second = await shard.session();
  expect(await second.hello).toMatchObject({ isPaused: true });
  second.welcome();
  made.resume();
  await second.next("resume");
  second.vanish();
  const third = (await shard.session()).welcome();
  expect(await third.hello).not.toHaveProperty("isPaused");
});

test("a worker that is paused before it starts says so in hello", async () => {
  const { makeWorker, shard } = await createWorld();
  const made = makeWorker();
  made.pause();
  const started = made.start();
  const session = await shard.session();
  expect(await session.hello).toMatchObject({ isPaused: true });
  session.welcome();
  await started;
  await session.settled();
  expect(made.isPaused).toBe(true);
  expect(session.count("resume")).toBe(0);
});

test("a worker that is resumed between hello and welcome says so after the welcome", async () => {
  const { makeWorker, shard } = await createWorld();
  const made = makeWorker();
  made.pause();
  const started = made.start();
  const session = await shard.session();
  made.resume();
  session.welcome();
  await started;
  await session.next("resume");
  expect(session.count("pause")).toBe(0);
});

test("a worker that was resumed while it was away is not paused by what its shard remembers", async () => {
  const { connect, shard } = await createWorld();
  const { session: first, worker: made } = await connect();
  made.pause();
  await first.next("pause");
  first.vanish();
  const second = await shard.session();
  made.resume();
  second.send(second.welcomeFrame(), { type: "pause" });
  await second.next("resume");
  await second.settled();
  expect(made.isPaused).toBe(false);
  second.send({ type: "pause" });
  await second.next("pause");
  expect(made.isPaused).toBe(true);
});

test("a worker that a person paused while it was away is paused when it returns", async () => {
  const { connect, shard } = await createWorld();
  const { session: first, worker: made } = await connect();
  first.vanish();
  const second = await shard.session();
  second.send(second.welcomeFrame(), { type: "pause" });
  await second.next("pause");
  expect(made.isPaused).toBe(true);
});

test("a pause that one shard asks for holds for every shard, and so does its end", async () => {
  const { makeWorker, shard, lines } = await createWorld();
  shard.shards = [0, 1];
  const made = makeWorker();
  const started = made.start();
  const sessions = [await shard.session(), await shard.session()];
  for (const session of sessions) session.welcome();
  await started;
  sessions[0]?.send({ type: "pause" });
  for (const session of sessions) await session.next("pause");
  expect(made.isPaused).toBe(true);
  sessions[1]?.send({ type: "resume" });
  for (const session of sessions) await session.next("resume");
  expect(made.isPaused).toBe(false);
  expect(lines.filter((line) => /^(paused|resumed)$/.test(line))).toEqual(["paused", "resumed"]);
});

test("a worker that its shard asks to drain stops, as if it had been told to here", async () => {
  const { connect, calls } = await createWorld();
  const { session, worker: made } = await connect();
  session.send(task());
  const call = await calls.next("a call");
  session.send({ type: "drain" });
  await session.next("drain");
  expect(call.ctx.signal.aborted).toBe(false);
  call.finish("last");
  await session.next("completed");
  session.send({ type: "recorded", task: "task-1", attempt: 1 });
  expect(await session.closed).toMatchObject({ code: CLOSE_DRAINED });
  await made.stopped;
});

test("a worker asks for limits of its own, and leaves out what it doesn't ask for", async () => {
  const { connect } = await createWorld();
  const { session } = await connect({ heartbeat: "2s", reconnectGrace: 0 });
  expect(await session.hello).toMatchObject({ heartbeatLimitMs: 2_000, resumeGraceMs: 0 });
  const { session: other } = await (await createWorld()).connect();
  expect(Object.keys(await other.hello)).not.toContain("heartbeatLimitMs");
  expect(Object.keys(await other.hello)).not.toContain("resumeGraceMs");
});

test("limits that no shard grants are refused when the worker is made", () => {
  const client = new Client({ url: "http://127.0.0.1:1", token: TOKEN });
  const one = workflow({ name: "one" });
  one.step("a", { run: () => 1 });
  const make = (options: object) => () => worker({ workflows: [one], client, ...options });
  expect(make({ heartbeat: "1s" })).toThrow(DefinitionError);
  expect(make({ heartbeat: "1s" })).toThrow(
    'The heartbeat of a worker is "1s": give at least 2000 ms',
  );
  expect(make({ heartbeat: "11m" })).toThrow("the most it can be is 600000 ms");
  expect(make({ reconnectGrace: -1 })).toThrow("give at least 0 ms");
  expect(make({ reconnectGrace: "2m" })).toThrow("the most it can be is 60000 ms");
  expect(make({ heartbeat: "2s", reconnectGrace: 0 })).not.toThrow();
});

test("with a grace of nothing, handlers stop as soon as the socket has closed", async () => {
  const { makeWorker, shard, calls } = await createWorld();
  const started = makeWorker({ reconnectGrace: 0 }).start();
  const first = await shard.session();
  first.welcome({ resumeGraceMs: 0 });
  await started;
  first.send(task());
  const call = await calls.next("a call");
  shard.on("GET /shards", () => problem(503, "overloaded", "Come back later"));
  first.vanish();
  expect(await signalOf(call.ctx.signal)).toMatchObject({ code: "lease_lost" });
  shard.on("GET /shards", () => ({ body: { shards: [{ number: 0, path: "/api/v1/shards/0" }] } }));
  expect((await (await shard.session()).hello).running).toEqual([]);
});

test.each([2_000, 3_000, 30_000, 600_000])(
  "with a limit of %i ms leases end before the shard's, also when pings are answered late",
  (limitMs) => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    let shardHeardAt = 0;
    let endedAt = 0;
    let pings = 0;
    const heartbeat = new Heartbeat(Date.now(), {
      pingIntervalMs: Math.floor(limitMs / 3),
      limitMs,
      graceMs: 6_000,
      isBusy: () => false,
      // The first five arrive, and are answered late; the others are lost.
      ping: () => {
        pings += 1;
        if (pings > 5) return;
        shardHeardAt = Date.now();
        setTimeout(() => heartbeat.pong(), 500);
      },
      onEnd: () => {
        endedAt = Date.now();
      },
    });
    vi.advanceTimersByTime(20 * limitMs);
    expect(pings).toBeGreaterThan(5);
    expect(endedAt).toBe(shardHeardAt + limitMs - leaseMarginMs(limitMs));
    expect(endedAt).toBeLessThan(shardHeardAt + limitMs);
  },
);
