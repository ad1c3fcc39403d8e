/** What the shard answers to results, wanted and unwanted: each takes effect once or not at all. */
import { expect, test } from "vitest";
import { newRunId, taskId } from "../../protocol/ids.ts";
import { RESUME_GRACE_MS } from "../../protocol/session.ts";
import { createWorld, useVirtualTime } from "../support/world.ts";

useVirtualTime();

const CHAIN = { name: "chain", steps: [{ name: "first" }, { name: "second", parents: ["first"] }] };
const ACTIONS = ["chain:first", "chain:second"];

test("a result that is sent again is answered again, and applied once", async () => {
  const world = await createWorld();
  await world.register(CHAIN);
  const worker = await world.connectWorker({ actions: ACTIONS });
  const run = await world.startRun({ workflow: "chain" });
  const first = await worker.receiveTask({ step: "first" });
  worker.complete(first, "once");
  await worker.receive("recorded", { task: first.task, attempt: 1 });
  const second = await worker.receiveTask({ step: "second", parents: { first: "once" } });

  worker.complete(first, "twice");
  await worker.receive("recorded", { task: first.task, attempt: 1 });
  expect(await worker.unreadWhenQuiet()).toEqual([]); // no second task for the child
  worker.complete(second);
  await worker.receive("recorded", { task: second.task });
  expect(await world.readRun(run.id)).toMatchObject({
    state: "completed",
    tasks: [{ output: "once", attempts: [{ attempt: 1 }] }, { attempts: [{ attempt: 1 }] }],
  });
});

test("a result sent twice before it is durable is answered once, when it is", async () => {
  const world = await createWorld();
  await world.register(CHAIN);
  const worker = await world.connectWorker({ actions: ["chain:first"] });
  await world.startRun({ workflow: "chain" });
  const task = await worker.receiveTask();
  const held = await world.holdCommits();
  worker.complete(task, "a");
  worker.complete(task, "b");
  await held.release();
  await worker.receive("recorded", { task: task.task });
  expect(await worker.unreadWhenQuiet()).toEqual([]);
  const [row] = await world.sql("select output from v1.task_output where task_id = $1", [
    task.task,
  ]);
  expect(row).toEqual({ output: "a" });
});

test("a result of an attempt that another session holds changes nothing", async () => {
  const world = await createWorld();
  await world.register(CHAIN);
  const owner = await world.connectWorker({ actions: ["chain:first"] });
  const run = await world.startRun({ workflow: "chain" });
  const task = await owner.receiveTask();
  const stranger = await world.connectWorker({ actions: ["chain:first"] });

  stranger.complete(task, "not mine");
  await stranger.receive("stale", { task: task.task, attempt: 1 });
  stranger.release(task);
  stranger.say({
    type: "log",
    task: task.task,
    attempt: 1,
    first: 0,
    lines: [{ level: "info", message: "not mine", at: 1 }],
  });
  await world.settled();
  owner.complete(task, "mine");
  await owner.receive("recorded", { task: task.task, attempt: 1 });
  expect((await world.readRun(run.id)).tasks[0]).toMatchObject({ output: "mine" });
  const { body } = await world.call<{ items: unknown[] }>("GET", `/runs/${run.id}/logs`);
  expect(body.items).toEqual([]);
});

test("a result of an attempt that was written off is stale, and the newer attempt's counts", async () => {
  const world = await createWorld();
  await world.register(CHAIN);
  const first = await world.connectWorker({ actions: ["chain:first"] });
  const run = await world.startRun({ workflow: "chain" });
  const old = await first.receiveTask({ attempt: 1 });
  first.vanish();
  await world.settled();
  await world.advance(RESUME_GRACE_MS);
  const back = await world.connectWorker({ actions: ["chain:first"] });
  const newer = await back.receiveTask({ attempt: 2 });

  back.complete(old, "old");
  await back.receive("stale", { task: old.task, attempt: 1 });
  back.complete(newer, "new");
  await back.receive("recorded", { attempt: 2 });
  back.complete(old, "old");
  await back.receive("stale", { task: old.task, attempt: 1 });
  expect((await world.readRun(run.id)).tasks[0]).toMatchObject({ output: "new" });
});

test("a result of a task or an attempt that there never was changes nothing", async () => {
  const world = await createWorld();
  await world.register(CHAIN);
  const worker = await world.connectWorker({ actions: ["chain:first"] });
  const run = await world.startRun({ workflow: "chain" });
  const task = await worker.receiveTask();

  const nowhere = taskId(newRunId(), 0);
  worker.complete({ ...task, task: nowhere });
  await worker.receive("gone", { task: nowhere, attempt: 1 });
  worker.complete({ ...task, attempt: 7 });
  await worker.receive("stale", { task: task.task, attempt: 7 });
  expect((await world.readRun(run.id)).tasks[0]).toMatchObject({ state: "queued", attempts: [] });
  worker.complete(task);
  await worker.receive("recorded", { task: task.task, attempt: 1 });
});

test("a failed step fails its run and cancels what waited for it", async () => {
  const world = await createWorld();
  await world.register(CHAIN);
  const worker = await world.connectWorker({ actions: ACTIONS });
  const run = await world.startRun({ workflow: "chain" });
  worker.fail(await worker.receiveTask(), "no luck");
  await worker.receive("recorded");
  expect(await worker.unreadWhenQuiet()).toEqual([]);
  expect(await world.readRun(run.id)).toMatchObject({
    state: "failed",
    tasks: [
      { state: "failed", error: { code: "handler_error", message: "no luck" } },
      { state: "cancelled", attempts: [] },
    ],
  });
});

test("lines that a handler logged are kept in order, each once", async () => {
  const world = await createWorld();
  await world.register(CHAIN);
  const worker = await world.connectWorker({ actions: ["chain:first"] });
  const run = await world.startRun({ workflow: "chain" });
  const { task, attempt } = await worker.receiveTask();
  const line = (message: string) => ({ level: "info" as const, message, at: Date.now() });
  worker.say({ type: "log", task, attempt, first: 0, lines: [line("a"), line("b")] });
  worker.say({ type: "log", task, attempt, first: 1, lines: [line("b"), line("c")] });
  await world.settled();
  const { body } = await world.call<{ items: { message: string }[] }>(
    "GET",
    `/runs/${run.id}/logs`,
  );
  expect(body.items.map(({ message }) => message)).toEqual(["a", "b", "c"]);
});
