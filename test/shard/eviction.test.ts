/** Shards that leave memory, asleep or in mid-flight: nothing is lost, nothing happens twice. */
import { expect, test } from "vitest";
import { ALARM_DROPPED_MS } from "../../durable-objects/dispatcher/limits.ts";
import { RESUME_GRACE_MS } from "../../protocol/session.ts";
import { traffic } from "../support/traffic.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

useVirtualTime();

const CHAIN = { name: "chain", steps: [{ name: "first" }, { name: "second", parents: ["first"] }] };
const ACTIONS = ["chain:first", "chain:second"];

async function countRuns(world: World): Promise<unknown> {
  const [row] = await world.sql(
    "select count(*)::integer as runs from v1.workflow_run where tenant_id = $1",
    [world.tenant],
  );
  return row?.["runs"];
}

test("a shard that slept takes the results of attempts it handed out before", async () => {
  const world = await createWorld();
  await world.register(CHAIN);
  const worker = await world.connectWorker({ actions: ACTIONS });
  const run = await world.startRun({ workflow: "chain" });
  const first = await worker.receiveTask({ step: "first" });
  await world.settled();
  await world.evictShard();

  worker.complete(first, "kept");
  await worker.receive("recorded", { task: first.task, attempt: 1 });
  worker.complete(await worker.receiveTask({ attempt: 1, parents: { first: "kept" } }));
  await worker.receive("recorded");
  expect(await world.readRun(run.id)).toMatchObject({
    state: "completed",
    tasks: [{ attempts: [{ attempt: 1 }] }, { attempts: [{ attempt: 1 }] }],
  });
});

test("ready tasks that waited in a shard's memory are handed out after it slept, each once", async () => {
  const world = await createWorld();
  await world.register(CHAIN);
  const worker = await world.connectWorker({ actions: ["chain:first"], slots: 1 });
  await world.startRuns("chain", [1, 2, 3, 4]);
  let task = await worker.receiveTask({ input: 1 });
  await world.settled();
  for (const next of [2, 3, 4]) {
    await world.evictShard();
    worker.complete(task);
    await worker.receive("recorded");
    task = await worker.receiveTask({ input: next, attempt: 1 });
    await world.settled();
  }
  expect(await worker.unreadWhenQuiet()).toEqual([]);
});

test("workers that a restart cut off come back to their attempts", async () => {
  const world = await createWorld();
  await world.register(CHAIN);
  const worker = await world.connectWorker({ actions: ACTIONS });
  await world.startRun({ workflow: "chain" });
  const first = await worker.receiveTask({ step: "first" });
  await world.settled();
  await world.evictShard("close");

  const back = await world.openSocket();
  const session = worker.welcome?.session ?? "";
  const running = [{ task: first.task, attempt: 1 }];
  expect(await back.hello({ actions: ACTIONS, session, running })).toMatchObject({
    session,
    resumed: running,
  });
  back.complete(first);
  await back.receive("recorded", { attempt: 1 });
});

test("workers that a restart cut off and that stay away lose their tasks", async () => {
  const world = await createWorld();
  await world.register(CHAIN);
  const worker = await world.connectWorker({ actions: ACTIONS });
  await world.startRun({ workflow: "chain" });
  await worker.receiveTask({ step: "first" });
  await world.settled();
  await world.evictShard("close");
  const other = await world.connectWorker({ actions: ACTIONS });
  await world.advance(RESUME_GRACE_MS);
  other.complete(await other.receiveTask({ step: "first", attempt: 2 }));
  await other.receive("recorded");
});

test("a run whose shard died on the way to the database is started once", async () => {
  const world = await createWorld();
  await world.register(CHAIN);
  const worker = await world.connectWorker({ actions: ACTIONS });
  await world.settled();
  const held = await world.holdCommits();
  const started = world.startRun({ workflow: "chain" });
  await traffic.sent("commit", 1);
  await world.crashShard();
  await held.release(); // the dead shard's commit may land before its successor's, or be refused

  const run = await started;
  expect(await countRuns(world)).toBe(1);
  await worker.closed;
  const back = await world.connectWorker({ actions: ACTIONS });
  back.complete(await back.receiveTask({ run: run.id, attempt: 1 }));
  await back.receive("recorded");
  await back.receiveTask({ run: run.id, step: "second", attempt: 1 });
  expect(await back.unreadWhenQuiet()).toEqual([]);
});

test("a call that is sent again after its run has gone on hands out nothing again", async () => {
  const world = await createWorld();
  await world.register(CHAIN);
  const worker = await world.connectWorker({ actions: ACTIONS });
  await world.startRun({ workflow: "chain" });
  const first = await worker.receiveTask({ step: "first" });
  worker.complete(first);
  await worker.receive("recorded", { task: first.task });
  const second = await worker.receiveTask({ step: "second" });
  const [runs] = traffic.commitsOf(world.tenant).flatMap(({ starts }) => (starts ? [starts] : []));

  // As the edge Worker does when the life that had the call has died before it could answer.
  const answer = await world.shard.start({ events: [], runs: runs ?? [], bytes: 0 });
  expect(answer.kind).toBe("committed");
  expect(await worker.unreadWhenQuiet()).toEqual([]);
  worker.complete(second);
  await worker.receive("recorded", { task: second.task });
});

for (const landed of [true, false]) {
  const outcome = landed ? "landed" : "did not land";
  test(`a result whose shard died before it could answer counts once, when its commit ${outcome}`, async () => {
    const world = await createWorld();
    await world.register(CHAIN);
    const worker = await world.connectWorker({ actions: ACTIONS });
    const run = await world.startRun({ workflow: "chain" });
    const first = await worker.receiveTask({ step: "first" });
    await world.settled();
    const held = await world.holdCommits();
    const sent = traffic.commitsOf(world.tenant).length;
    worker.complete(first, "once");
    await traffic.sent("commit", sent + 1);
    await expect.poll(() => held.countWaiting()).toBe(1);
    if (!landed) expect(await held.terminateWaiting()).toBe(1);
    await world.crashShard();
    await held.release();

    const back = await world.openSocket();
    const session = worker.welcome?.session ?? "";
    await back.hello({ actions: ACTIONS, session, running: [{ task: first.task, attempt: 1 }] });
    back.complete(first, "once");
    await back.receive("recorded", { task: first.task, attempt: 1 });
    const second = await back.receiveTask({ step: "second", attempt: 1 });
    expect(await back.unreadWhenQuiet()).toEqual([]);
    back.complete(second);
    await back.receive("recorded", { task: second.task });
    expect(await world.readRun(run.id)).toMatchObject({
      state: "completed",
      tasks: [{ output: "once", attempts: [{ attempt: 1 }] }, { attempts: [{ attempt: 1 }] }],
    });
  });
}

test("a shard that meets a newer life of itself ends, and its old attempts count no more", async () => {
  const world = await createWorld();
  await world.register(CHAIN);
  const worker = await world.connectWorker({ actions: ["chain:first"] });
  const run = await world.startRun({ workflow: "chain" });
  const task = await worker.receiveTask({ attempt: 1 });
  await world.settled();
  await world.sql("update v1.shard set epoch = epoch + 1 where tenant_id = $1", [world.tenant]);

  await world.startRun({ workflow: "chain" }); // accepted by the life after that
  expect(await countRuns(world)).toBe(2);
  await worker.closed;
  const back = await world.connectWorker({ actions: ["chain:first"], slots: 2 });
  const again = (await back.receiveTasks(2)).find((other) => other.run === run.id);
  expect(again).toMatchObject({ task: task.task, attempt: 2 });
  back.complete(task, "old");
  await back.receive("stale", { attempt: 1 });
  if (again) back.complete(again, "new");
  await back.receive("recorded", { attempt: 2 });
  expect((await world.readRun(run.id)).tasks[0]).toMatchObject({
    output: "new",
    attempts: [{ outcome: "lost" }, { outcome: "completed" }],
  });
});

test("a shard that lost its memory with its tasks is reminded of them by a nudge", async () => {
  const world = await createWorld();
  await world.register(CHAIN);
  const worker = await world.connectWorker({ actions: ["chain:first"], slots: 1 });
  await world.startRuns("chain", [1]);
  await worker.receiveTask({ input: 1 });
  await world.settled();
  await world.forgetShard();
  const other = await world.connectWorker({ actions: ["chain:second"] }); // of no use to the task
  await other.unreadWhenQuiet();
  const able = await world.connectWorker({ actions: ["chain:first"] });
  await world.shard.nudge();
  await able.receiveTask({ input: 1, attempt: 2 });
});

test("a shard whose alarm was dropped by the platform is reminded of its deadlines by a nudge", async () => {
  const world = await createWorld();
  await world.register(CHAIN);
  const gone = await world.connectWorker({ actions: ["chain:first"] });
  await world.startRuns("chain", [1]);
  await gone.receiveTask({ attempt: 1 });
  await world.settled();
  gone.vanish();
  await world.settled();
  await world.dropAlarm();
  const other = await world.connectWorker({ actions: ["chain:first"] });
  await world.advance(RESUME_GRACE_MS + ALARM_DROPPED_MS);
  expect(await other.unreadWhenQuiet()).toEqual([]);

  await world.shard.nudge();
  await world.advance(1);
  await other.receiveTask({ attempt: 2 });
});

test("a worker is told to stop an attempt that ended while its shard died", async () => {
  const world = await createWorld();
  await world.register({ name: "chain", steps: [{ name: "first" }] });
  const worker = await world.connectWorker({ actions: ["chain:first"], slots: 1 });
  const run = await world.startRun({ workflow: "chain" });
  const task = await worker.receiveTask();
  await world.evictShard("close");
  // The last commit of the life before: it landed, and nobody was left to hear of it.
  const [shard] = await world.sql("select epoch from v1.shard where tenant_id = $1", [
    world.tenant,
  ]);
  const e = { code: "cancelled", name: "Error", message: "The run was cancelled" };
  const held = [{ t: task.task, a: 1, w: "test-worker", b: Date.now() }];
  const request = {
    tenant: world.tenant,
    shard: 0,
    epoch: Number(shard?.["epoch"]),
    seq: 99,
    at: Date.now(),
    room: { default: 0, actions: {}, bytes: 0 },
    cancels: [{ r: run.id, e, l: held }],
  };
  await world.sql("select v1.commit($1::jsonb)::text", [JSON.stringify(request)]);
  const session = worker.welcome?.session ?? "";
  const running = [{ task: task.task, attempt: 1 }];
  const back = await world.openSocket();
  const { resumed } = await back.hello({ actions: ["chain:first"], slots: 1, session, running });
  if (resumed.length > 0) await back.receive("cancel", { task: task.task, attempt: 1 });
});
