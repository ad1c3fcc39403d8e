/** Receipts: that a task has arrived is said at once, whatever its handler then does. */
import { fork } from "node:child_process";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { FakeShard, task, TOKEN } from "./fake-shard.ts";
import { createWorld, signalOf } from "./world.ts";

test("the tasks of one message are confirmed in one frame, also those that wait for a slot", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect({ slots: 1 });
  session.send(task({ task: "a" }), task({ task: "b", attempt: 3 }));
  expect(await session.next("received")).toEqual({
    type: "received",
    attempts: [
      { task: "a", attempt: 1 },
      { task: "b", attempt: 3 },
    ],
  });
  await calls.next("a call");
  await session.settled();
  expect(calls.size).toBe(0);
  session.send(task({ task: "c" }));
  expect((await session.next("received")).attempts).toEqual([{ task: "c", attempt: 1 }]);
});

test("tasks that come with the welcome are confirmed", async () => {
  const { makeWorker, shard } = await createWorld();
  const started = makeWorker().start();
  const session = await shard.session();
  session.send(session.welcomeFrame(), task());
  await started;
  expect((await session.next("received")).attempts).toEqual([{ task: "task-1", attempt: 1 }]);
});

test("a task that is sent again is confirmed again, and not run again", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect();
  session.send(task());
  await session.next("received");
  session.send(task());
  expect((await session.next("received")).attempts).toEqual([{ task: "task-1", attempt: 1 }]);
  await calls.next("a call");
  await session.settled();
  expect(calls.size).toBe(0);
});

test("messages without tasks are not confirmed", async () => {
  const { connect } = await createWorld();
  const { session } = await connect();
  await session.settled();
  expect(session.count("received")).toBe(0);
});

test("a handler that blocks the event loop for ever has its task confirmed, and those beside it", async () => {
  const shard = await FakeShard.start();
  onTestFinished(() => shard.stop());
  const child = fork(join(import.meta.dirname, "worker-process.ts"), {
    env: { ...process.env, SKEIN_URL: shard.url, SKEIN_TOKEN: TOKEN },
    execArgv: [],
    silent: true,
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const session = (await shard.session()).welcome();
  session.send(task({ task: "a", step: "blocked" }), task({ task: "b", step: "blocked" }));
  expect((await session.next("received")).attempts).toHaveLength(2);
});

test("a handler that ignores its cancel keeps its slot here, and the next task waits, confirmed", async () => {
  const { connect, calls } = await createWorld();
  const { session } = await connect({ slots: 1 });
  session.send(task({ task: "stubborn" }));
  const stubborn = await calls.next("a call");
  session.send({ type: "cancel", task: "stubborn", attempt: 1, reason: "cancelled" });
  await signalOf(stubborn.ctx.signal);
  await session.next("received");
  // The shard has taken the slot back by now.
  session.send(task({ task: "next" }));
  expect((await session.next("received")).attempts).toEqual([{ task: "next", attempt: 1 }]);
  await session.settled();
  expect(calls.size).toBe(0);
  stubborn.finish("too late");
  expect(await session.next("released")).toMatchObject({ task: "stubborn" });
  expect((await calls.next("a call")).ctx.taskId).toBe("next");
  expect(session.count("completed")).toBe(0);
});
