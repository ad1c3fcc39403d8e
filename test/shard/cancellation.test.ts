/** Runs that are cancelled, or take too long: wherever their tasks are, they end. */
import { expect, test } from "vitest";
import { traffic } from "../support/traffic.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

useVirtualTime();

const CHAIN = { name: "chain", steps: [{ name: "first" }, { name: "second", parents: ["first"] }] };
const ACTIONS = ["chain:first", "chain:second"];

async function begin(definition: Parameters<World["register"]>[0] = CHAIN): Promise<World> {
  const world = await createWorld();
  await world.register(definition);
  return world;
}

async function statesOf(world: World, run: string): Promise<string[]> {
  const { state, tasks } = await world.readRun(run);
  return [state, ...tasks.map((task) => task.state)];
}

test("a running task's worker is told to stop, and the run is cancelled at once", async () => {
  const world = await begin();
  const worker = await world.connectWorker({ actions: ACTIONS, slots: 1 });
  const { id } = await world.startRun({ workflow: "chain" });
  const task = await worker.receiveTask();
  const { status, body } = await world.call("POST", `/runs/${id}/cancel`);
  expect([status, body]).toEqual([200, { id, state: "cancelled", cancelled: true }]);
  await worker.receive("cancel", { task: task.task, attempt: 1, reason: "cancelled" });
  expect(await statesOf(world, id)).toEqual(["cancelled", "cancelled", "cancelled"]);
  expect((await world.readRun(id)).tasks[0]?.attempts).toMatchObject([
    { attempt: 1, outcome: "cancelled", worker: "test-worker" },
  ]);

  const next = await world.startRun({ workflow: "chain" });
  expect(await worker.unreadWhenQuiet()).toEqual([]); // its one slot is not free yet
  worker.release(task);
  await worker.receiveTask({ run: next.id });
});

test("a result that crosses the cancellation is refused as stale", async () => {
  const world = await begin();
  const worker = await world.connectWorker({ actions: ACTIONS });
  const { id } = await world.startRun({ workflow: "chain" });
  const task = await worker.receiveTask();
  await world.call("POST", `/runs/${id}/cancel`);
  worker.complete(task, "too late");
  await worker.receive("stale", { attempt: 1 });
  expect(await statesOf(world, id)).toEqual(["cancelled", "cancelled", "cancelled"]);
});

test("tasks in the window and in the queue never start", async () => {
  const world = await begin();
  const worker = await world.connectWorker({ actions: ACTIONS, slots: 1 });
  const [busy = "", waiting = ""] = await world.startRuns("chain", [1, 2]);
  const task = await worker.receiveTask({ run: busy });
  await world.call("POST", `/runs/${waiting}/cancel`);
  worker.complete(task);
  worker.complete(await worker.receiveTask({ run: busy }));
  await worker.receive("recorded");
  await worker.receive("recorded");
  expect(await worker.unreadWhenQuiet()).toEqual([]);

  worker.vanish();
  await world.settled();
  const { id: queued } = await world.startRun({ workflow: "chain" }); // nobody is there
  await world.call("POST", `/runs/${queued}/cancel`);
  const other = await world.connectWorker({ actions: ACTIONS });
  expect(await other.unreadWhenQuiet()).toEqual([]);
  const left = "select count(*)::integer as n from v1.queue_item where tenant_id = $1";
  expect(await world.sql(left, [world.tenant])).toEqual([{ n: 0 }]);
});

test("a task in backoff is not tried again", async () => {
  const steps = [{ name: "only", retries: 3, backoff: { initialMs: 5_000, jitter: 0 } }];
  const world = await begin({ name: "frail", steps });
  const worker = await world.connectWorker({ actions: ["frail:only"] });
  const { id } = await world.startRun({ workflow: "frail" });
  worker.fail(await worker.receiveTask(), "no");
  await worker.receive("recorded");
  await world.call("POST", `/runs/${id}/cancel`);
  await world.advance(60_000);
  expect(await worker.unreadWhenQuiet()).toEqual([]);
  expect(await statesOf(world, id)).toEqual(["cancelled", "cancelled"]);
});

test("whoever waits for the run hears of its cancellation at once", async () => {
  const world = await begin();
  const { id } = await world.startRun({ workflow: "chain" });
  const result = world.call<{ state: string }>("GET", `/runs/${id}/result?waitMs=30000`);
  await world.settled();
  await world.call("POST", `/runs/${id}/cancel`);
  expect((await result).body).toMatchObject({ state: "cancelled", error: { code: "cancelled" } });
});

test("a run that takes too long ends, its tasks with it", async () => {
  const world = await begin({ ...CHAIN, timeoutMs: 20_000 });
  const worker = await world.connectWorker({ actions: ACTIONS });
  const { id } = await world.startRun({ workflow: "chain" });
  worker.complete(await worker.receiveTask());
  const second = await worker.receiveTask();
  await world.advance(19_999);
  await world.ping(worker);
  expect(await worker.unreadWhenQuiet()).toMatchObject([{ type: "recorded" }]);
  await world.advance(1);
  await worker.receive("cancel", { task: second.task, reason: "run_timeout" });
  expect(await statesOf(world, id)).toEqual(["failed", "completed", "cancelled"]);
  const { body } = await world.call("GET", `/runs/${id}/result`);
  expect(body).toMatchObject({ state: "failed", error: { code: "run_timeout", step: null } });
});

test("a run that has finished leaves no timer behind", async () => {
  const world = await begin({ ...CHAIN, timeoutMs: 20_000 });
  const worker = await world.connectWorker({ actions: ACTIONS });
  const { id } = await world.startRun({ workflow: "chain" });
  worker.complete(await worker.receiveTask());
  worker.complete(await worker.receiveTask());
  await worker.receive("recorded");
  await worker.receive("recorded");
  expect(await world.sql("select * from v1.timer where id = $1", [id])).toEqual([]);
  await world.advance(20_000);
  expect((await world.readRun(id)).state).toBe("completed");
});

test("a task that is queued for too long fails, in the window as in the queue", async () => {
  const steps = [{ name: "only", scheduleTimeoutMs: 5_000, retries: 3 }];
  const world = await begin({ name: "hasty", steps });
  const worker = await world.connectWorker({ actions: ["hasty:only"], slots: 1 });
  const [busy = "", waiting = ""] = await world.startRuns("hasty", [1, 2]);
  const task = await worker.receiveTask({ run: busy });
  await world.advance(4_999);
  expect(await statesOf(world, waiting)).toEqual(["queued", "queued"]);
  await world.advance(1);
  await world.settled();
  const expired = { state: "failed", error: { code: "schedule_timeout" }, attempts: [] };
  expect(await world.readRun(waiting)).toMatchObject({ state: "failed", tasks: [expired] });
  worker.complete(task); // the one that runs has all the time it needs
  await worker.receive("recorded");
  worker.vanish();
  await world.settled();

  const { id } = await world.startRun({ workflow: "hasty" }); // nobody is there: it is queued
  await world.evictShard();
  await world.advance(5_000);
  await world.settled();
  expect(await world.readRun(id)).toMatchObject({ state: "failed", tasks: [expired] });
});

test("a cancellation that comes with the run's timeout is not lost", async () => {
  const world = await createWorld();
  await world.register({
    name: "slow",
    timeoutMs: 5_000,
    onFailure: {},
    steps: [{ name: "only", timeoutMs: 60_000 }],
  });
  const worker = await world.connectWorker({ actions: ["slow:only", "slow:on-failure"] });
  const { id } = await world.startRun({ workflow: "slow" });
  await worker.receiveTask();
  await world.settled();
  const held = await world.holdCommits();
  const other = world.startRun({ workflow: "slow" }); // a commit in flight: what follows is one batch
  await world.advance(5_000, { isStuck: true });
  const cancelled = world.call("POST", `/runs/${id}/cancel`);
  await scheduler.wait(200);
  await held.release();
  await other;
  expect((await cancelled).body).toMatchObject({ state: "cancelled", cancelled: true });
});

test("tasks that expire in the queue while the window is full of bytes are failed, once", async () => {
  const world = await createWorld();
  await world.register({ name: "big", steps: [{ name: "only", timeoutMs: 600_000 }] });
  await world.register({ name: "late", steps: [{ name: "only", scheduleTimeoutMs: 10_000 }] });
  const worker = await world.connectWorker({ actions: ["big:only"], slots: 1 });
  const input = "x".repeat(1024 * 1024 - 100);
  for (let sent = 0; sent < 28; sent += 7) await world.startRuns("big", Array(7).fill(input));
  await worker.receiveTask();
  const { id } = await world.startRun({ workflow: "late" });
  await world.ping(worker);
  const before = traffic.commitsOf(world.tenant).length;
  await world.advance(10_000, { isStuck: true });
  await world.settled(); // and does not go round for ever
  expect(traffic.commitsOf(world.tenant).length - before).toBeLessThan(10);
  expect((await world.readRun(id)).state).toBe("failed");
});
