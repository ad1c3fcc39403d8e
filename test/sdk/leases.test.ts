/**
 * When a worker without contact gives its attempts up: before its shard does, and never so that the
 * shard still counts on it.
 */
import { expect, test } from "vitest";
import { problem, task } from "./fake-shard.ts";
import { createWorld, signalOf } from "./world.ts";

test("a shard that answers no pings loses its socket, and the handlers stop before it gives up", async () => {
  const { shard, makeWorker, calls } = await createWorld();
  const started = makeWorker().start();
  const first = await shard.session();
  first.answersPings = false;
  first.welcome({ pingIntervalMs: 50, heartbeatLimitMs: 1_000 });
  const welcomeAt = Date.now();
  await started;
  first.send(task());
  const call = await calls.next("a call");
  expect(await signalOf(call.ctx.signal)).toMatchObject({ code: "lease_lost" });
  // The shard counts from hello or later: a timer may fire late, but not past its limit.
  expect(Date.now() - welcomeAt).toBeLessThan(1_000);
  const second = await shard.session();
  expect((await second.hello).running).toEqual([]);
  second.welcome();
  call.finish("too late");
  await second.settled();
  expect(second.count("completed")).toBe(0);
});

test("handlers stop before their tasks can run elsewhere, though nobody has told that the socket is broken", async () => {
  const { shard, makeWorker, calls } = await createWorld();
  const started = makeWorker().start();
  const first = await shard.session();
  first.welcome({ resumeGraceMs: 3_000 });
  await started;
  first.send(task());
  const call = await calls.next("a call");
  await first.pings.next("a ping");
  first.answersPings = false;
  const heardAt = Date.now();
  expect(await signalOf(call.ctx.signal)).toMatchObject({ code: "lease_lost" });
  expect(Date.now() - heardAt).toBeLessThan(3_000);
  expect((await (await shard.session()).hello).running).toEqual([]);
});

test("answered pings keep a quiet session", async () => {
  const { shard, makeWorker } = await createWorld();
  const started = makeWorker().start();
  const session = await shard.session();
  session.welcome({ pingIntervalMs: 50, heartbeatLimitMs: 500 });
  await started;
  for (let ping = 0; ping < 20; ping += 1) await session.pings.next("a ping");
  await session.settled();
  expect(shard.requestsTo("GET /shards")).toHaveLength(1);
});

test("handlers stop when the worker can't come back before its session can't be resumed", async () => {
  const { shard, makeWorker, calls } = await createWorld();
  const started = makeWorker().start();
  const first = await shard.session();
  first.welcome({ resumeGraceMs: 1_000 });
  await started;
  first.send(task());
  const call = await calls.next("a call");
  shard.on("GET /shards", () => problem(503, "overloaded", "Come back later"));
  const closedAt = Date.now();
  first.vanish();
  expect(await signalOf(call.ctx.signal)).toMatchObject({ code: "lease_lost" });
  expect(Date.now() - closedAt).toBeLessThan(1_000);
});

test("a worker that gives up what its hello has named says so in another hello", async () => {
  const { shard, makeWorker, calls } = await createWorld();
  const started = makeWorker().start();
  const first = await shard.session();
  first.welcome({ resumeGraceMs: 1_000 });
  await started;
  first.send(task());
  const call = await calls.next("a call");
  first.vanish();
  const second = await shard.session();
  const named = [{ task: "task-1", attempt: 1 }];
  expect((await second.hello).running).toEqual(named);
  expect(await signalOf(call.ctx.signal)).toMatchObject({ code: "lease_lost" });
  second.welcome({ resumed: named });
  const third = await shard.session();
  expect(await third.hello).toMatchObject({ session: "session-of-shard-0", running: [] });
});

test("a result that was ready outlives the lease, for the shard to judge", async () => {
  const { shard, makeWorker, calls } = await createWorld();
  const started = makeWorker().start();
  const first = await shard.session();
  first.welcome({ resumeGraceMs: 50 });
  await started;
  first.send(task({ task: "ended" }), task({ task: "running" }));
  (await calls.next("a call")).finish("kept");
  await first.next("completed");
  const running = await calls.next("a call");
  shard.on("GET /shards", () => problem(503, "overloaded", "Come back later"));
  first.vanish();
  await signalOf(running.ctx.signal);
  shard.on("GET /shards", () => ({ body: { shards: [{ number: 0, path: "/api/v1/shards/0" }] } }));
  const second = await shard.session();
  expect((await second.hello).running).toEqual([{ task: "ended", attempt: 1 }]);
  second.welcome();
  expect(await second.next("completed")).toMatchObject({ output: "kept" });
});

test("a worker that is sent away keeps its attempts for as long as the shard says that it does", async () => {
  const { shard, makeWorker, calls } = await createWorld();
  const started = makeWorker().start();
  const first = await shard.connecting();
  expect(Object.fromEntries(first.said)).toEqual({ place: "" });
  first.welcome({ resumeGraceMs: 1_000 });
  await started;
  first.send(task());
  const call = await calls.next("a call");
  first.vanish();
  const asked = shard.requestsTo("GET /shards").length;

  const second = await shard.connecting();
  const session = "session-of-shard-0";
  expect(Object.fromEntries(second.said)).toEqual({ place: "", session });
  const resumeGraceMs = 60_000;
  second.sendAway({ retryAfterMs: 1_500, place: "7", resumeGraceMs });
  const sentAwayAt = Date.now();
  const third = await shard.connecting();
  expect(Date.now() - sentAwayAt).toBeGreaterThanOrEqual(1_490); // longer than the grace was
  expect(Object.fromEntries(third.said)).toEqual({ place: "7", session });
  expect(shard.requestsTo("GET /shards")).toHaveLength(asked + 1); // before the second, not before the third
  expect(call.ctx.signal.aborted).toBe(false);
  const running = [{ task: "task-1", attempt: 1 }];
  expect(await third.hello).toMatchObject({ session, running });
  third.welcome({ resumed: running });
  call.finish("kept");
  expect(await third.next("completed")).toMatchObject({ output: "kept" });
});

test("a worker that is sent away for longer gives its attempts up before the shard does", async () => {
  const { shard, makeWorker, calls } = await createWorld();
  const started = makeWorker().start();
  const first = await shard.connecting();
  first.welcome({ resumeGraceMs: 1_000 });
  await started;
  first.send(task());
  const call = await calls.next("a call");
  const lostAt = Date.now();
  first.vanish();
  const second = await shard.connecting();
  second.sendAway({ retryAfterMs: 60_000, place: "7", resumeGraceMs: 2_000 });
  const sentAwayAt = Date.now();
  expect(await signalOf(call.ctx.signal)).toMatchObject({ code: "lease_lost" });
  expect(Date.now() - lostAt).toBeGreaterThan(1_000);
  expect(Date.now() - sentAwayAt).toBeLessThan(2_000);
});
