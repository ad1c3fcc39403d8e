/** A worker's sessions over sockets that come and go: resending, resuming, draining. */
import { expect, onTestFinished, test, vi } from "vitest";
import { CLOSE_DRAINED } from "../../protocol/errors.ts";
import { SUBPROTOCOL, TOKEN_SUBPROTOCOL_PREFIX } from "../../protocol/session.ts";
import { Client, SessionError, SkeinError, worker, workflow } from "../../sdk/index.ts";
import { FakeShard, problem, task, TOKEN } from "./fake-shard.ts";
import { createWorld, signalOf } from "./world.ts";

test("hello says who the worker is and what it can do", async () => {
  const { connect } = await createWorld();
  const { session } = await connect({ slots: 7 });
  expect(await session.hello).toEqual({
    type: "hello",
    worker: "tester",
    sdk: expect.stringMatching(/^typescript\/\d+\.\d+\.\d+$/),
    slots: 7,
    actions: ["order:charge"],
    versions: ["version-of-order"],
    running: [],
  });
  expect(session.protocols).toEqual([SUBPROTOCOL, TOKEN_SUBPROTOCOL_PREFIX + TOKEN]);
});

test("a platform without a WebSocket of its own uses that of ws", async () => {
  vi.stubGlobal("WebSocket", undefined);
  onTestFinished(() => void vi.unstubAllGlobals());
  const { connect, calls } = await createWorld();
  const { session, worker: made } = await connect();
  session.send(task());
  (await calls.next("a call")).finish("by ws");
  expect(await session.next("completed")).toMatchObject({ output: "by ws" });
  session.send({ type: "recorded", task: "task-1", attempt: 1 });
  await made.stop();
  expect(await session.closed).toMatchObject({ code: CLOSE_DRAINED });
});

test("start waits for the welcome", async () => {
  const { makeWorker, shard } = await createWorld();
  const events: string[] = [];
  const started = makeWorker()
    .start()
    .then(() => events.push("started"));
  const session = await shard.session();
  events.push("welcome");
  session.welcome();
  await started;
  expect(events).toEqual(["welcome", "started"]);
});

test("a result is sent again on every socket until it is recorded", async () => {
  const { connect, calls, shard } = await createWorld();
  const { session: first } = await connect();
  first.send(task());
  (await calls.next("a call")).finish("done");
  const result = await first.next("completed");
  first.vanish();
  const second = await shard.session();
  expect(await second.hello).toMatchObject({
    session: "session-of-shard-0",
    running: [{ task: "task-1", attempt: 1 }],
  });
  second.welcome();
  expect(await second.next("completed")).toEqual(result);
  second.close(1012);
  const third = (await shard.session()).welcome();
  expect(await third.next("completed")).toEqual(result);
  third.send({ type: "recorded", task: "task-1", attempt: 1 });
  await third.settled();
  third.vanish();
  expect(await (await shard.session()).hello).toMatchObject({ running: [] });
});

test.each(["stale", "gone"] as const)(
  "a result answered with %s is not sent again, and the worker says that it was not used",
  async (type) => {
    const { connect, calls, shard, lines } = await createWorld();
    const { session } = await connect();
    session.send(task());
    (await calls.next("a call")).finish("done");
    await session.next("completed");
    session.send({ type, task: "task-1", attempt: 1 });
    await session.settled();
    expect(lines.filter((line) => line.includes("came too late"))).toEqual([
      'the result of step "charge" of run run-1 (attempt 1) came too late and was not used',
    ]);
    session.vanish();
    expect(await (await shard.session()).hello).toMatchObject({ running: [] });
  },
);

test("a running attempt survives a reconnect and reports on the new socket", async () => {
  const { connect, calls, shard } = await createWorld();
  const { session: first } = await connect();
  first.send(task());
  const call = await calls.next("a call");
  first.vanish();
  const second = await shard.session();
  expect((await second.hello).running).toEqual([{ task: "task-1", attempt: 1 }]);
  second.welcome({ resumed: [{ task: "task-1", attempt: 1 }] });
  expect(call.ctx.signal.aborted).toBe(false);
  call.finish("late");
  expect(await second.next("completed")).toMatchObject({ output: "late" });
  expect(calls.size).toBe(0);
});

test("nothing but hello is sent before the welcome", async () => {
  const { connect, calls, shard } = await createWorld();
  const { session: first } = await connect();
  first.send(task());
  const call = await calls.next("a call");
  first.vanish();
  const second = await shard.session();
  call.ctx.log.info("while away");
  call.finish("early");
  await new Promise(setImmediate);
  second.welcome();
  await second.next("completed");
  expect(await second.next("log")).toMatchObject({ lines: [{ message: "while away" }] });
  expect(second.messages[0]?.frames.map(({ type }) => type)).toEqual(["hello"]);
  expect(second.count("completed")).toBe(0);
});

test("an attempt that is stale at the welcome is aborted, and its result thrown away", async () => {
  const { connect, calls, shard } = await createWorld();
  const { session: first } = await connect();
  first.send(task());
  const call = await calls.next("a call");
  first.vanish();
  const second = await shard.session();
  second.welcome({ stale: [{ task: "task-1", attempt: 1 }] });
  expect(await signalOf(call.ctx.signal)).toMatchObject({ code: "stale" });
  call.finish("unwanted");
  await second.settled();
  expect(second.count("completed") + second.count("released")).toBe(0);
});

test("a bad token rejects start with the server's reason", async () => {
  const { makeWorker, shard } = await createWorld();
  const client = new Client({ url: shard.url, token: "wrong" });
  const failure = await makeWorker({ client })
    .start()
    .catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(SkeinError);
  expect(failure).toMatchObject({ status: 401, code: "unauthenticated" });
});

test("a token that is revoked later ends the worker with the reason", async () => {
  const { connect, shard, calls } = await createWorld();
  const { session, worker: made } = await connect();
  session.send(task());
  const call = await calls.next("a call");
  const ended = made.stopped.catch((error: unknown) => error);
  shard.token = "another";
  session.close(1012);
  expect(await ended).toMatchObject({ status: 401, code: "unauthenticated" });
  expect(call.ctx.signal.aborted).toBe(true);
});

test("a session error that would come again ends the worker with its code", async () => {
  const { makeWorker, shard } = await createWorld();
  const started = makeWorker()
    .start()
    .catch((error: unknown) => error);
  const session = await shard.session();
  session.send({ type: "error", code: "unsupported_version", detail: "This shard speaks 2" });
  session.close(4406);
  const failure = await started;
  expect(failure).toBeInstanceOf(SessionError);
  expect(failure).toMatchObject({ code: "unsupported_version" });
  expect(String(failure)).toContain("This shard speaks 2");
});

test("a session that was silent too long begins again", async () => {
  const { connect, shard } = await createWorld();
  const { session } = await connect();
  session.send({ type: "error", code: "session_silent", detail: "Nothing for 30 s" });
  session.close(4408);
  await (
    await shard.session()
  ).hello;
});

test("a worker that starts before Skein does waits for it", async () => {
  const early = await FakeShard.start();
  const { port } = early;
  await early.stop();
  const { makeWorker, lines } = await createWorld();
  const refused = Promise.withResolvers<void>();
  const client = new Client({ url: `http://127.0.0.1:${port}`, token: TOKEN, random: () => 0.1 });
  const started = makeWorker({
    client,
    log: (_level, line) => {
      lines.push(line);
      refused.resolve();
    },
  }).start();
  await refused.promise;
  expect(lines[0]).toContain("could not be reached");
  const late = await FakeShard.start(port);
  late.welcomeEverybody();
  await started;
  await late.stop();
});

test("a stopping worker drains: no new tasks, running ones end and are recorded, then it closes", async () => {
  const { connect, calls } = await createWorld();
  const { session, worker: made } = await connect();
  session.send(task());
  const call = await calls.next("a call");
  const events: string[] = [];
  void session.closed.then(() => events.push("closed"));
  const stopped = made.stop().then(() => events.push("stopped"));
  await session.next("drain");
  expect(call.ctx.signal.aborted).toBe(false);
  call.finish("last");
  await session.next("completed");
  await session.settled();
  expect(events).toEqual([]);
  session.send({ type: "recorded", task: "task-1", attempt: 1 });
  expect(await session.closed).toMatchObject({ code: CLOSE_DRAINED });
  await stopped;
  await made.stopped;
});

test("a worker that has said it leaves begins nothing that crosses its word", async () => {
  // Node 20 has none of its own. The one it uses there tells of messages also while it closes.
  vi.stubGlobal("WebSocket", undefined);
  onTestFinished(() => void vi.unstubAllGlobals());
  const { connect, calls } = await createWorld();
  const { session, worker } = await connect();
  session.reply("drain", task());
  await worker.stop();
  expect(calls.size).toBe(0);
  expect(session.count("received")).toBe(0);
});

test("a draining worker that loses its socket comes back to deliver, and drains again", async () => {
  const { connect, calls, shard } = await createWorld();
  const { session: first, worker: made } = await connect();
  first.send(task());
  const call = await calls.next("a call");
  const stopped = made.stop();
  await first.next("drain");
  first.vanish();
  call.finish("last");
  const second = (await shard.session()).welcome();
  await second.next("drain");
  await second.next("completed");
  second.send({ type: "recorded", task: "task-1", attempt: 1 });
  await stopped;
});

test("after its grace a stopping worker aborts its handlers and reports no failure for them", async () => {
  const { connect, calls } = await createWorld();
  const { session, worker: made } = await connect();
  session.send(task());
  const call = await calls.next("a call");
  const stopped = made.stop({ graceMs: 20 });
  const reason = await signalOf(call.ctx.signal);
  expect(reason).toMatchObject({ code: "worker_stopped" });
  call.fail(reason);
  await stopped;
  expect(await session.closed).toMatchObject({ code: CLOSE_DRAINED });
  expect(session.count("failed") + session.count("completed")).toBe(0);
});

test("a worker that is stopped while it waits for Skein stops", async () => {
  const { makeWorker, shard } = await createWorld();
  const asked = Promise.withResolvers<void>();
  shard.on("GET /shards", () => {
    asked.resolve();
    return problem(503, "overloaded", "Come back later");
  });
  const made = makeWorker();
  const started = made.start();
  await asked.promise;
  await made.stop();
  await started;
});

test("slots are divided among shards, and each has its own session", async () => {
  const { makeWorker, shard, calls } = await createWorld();
  shard.shards = [0, 1];
  const started = makeWorker({ slots: 5 }).start();
  const sessions = [await shard.session(), await shard.session()];
  const slots = new Map<number, number>();
  for (const session of sessions) slots.set(session.shard, (await session.hello).slots);
  expect(Object.fromEntries(slots)).toEqual({ 0: 3, 1: 2 });
  for (const session of sessions) session.welcome();
  await started;
  const second = sessions.find((session) => session.shard === 1);
  second?.send(task({ shard: 1 }));
  (await calls.next("a call")).finish();
  expect(await second?.next("completed")).toMatchObject({ shard: 1 });
});

test("what is wrong with a worker is said when it is made", () => {
  const client = new Client({ url: "http://127.0.0.1:1", token: TOKEN });
  const make = () => {
    const one = workflow({ name: "same" });
    one.step("a", { run: () => 1 });
    return one;
  };
  expect(() => worker({ workflows: [], client })).toThrow("needs a workflow");
  expect(() => worker({ workflows: [make(), make()], client })).toThrow('named "same"');
  expect(() => worker({ workflows: [make()], slots: 0, client })).toThrow("from 1 to 10000");
  for (const affinity of [0, -1, 1.5, Number.NaN]) {
    expect(() => worker({ workflows: [make()], affinity, client })).toThrow(
      `affinity of ${affinity}`,
    );
  }
  expect(() => worker({ workflows: [workflow({ name: "empty" })], client })).toThrow("no steps");
});
