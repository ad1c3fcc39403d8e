/** Attempts that take too long: the shard ends them, and the slot is free when the worker says so. */
import { expect, test } from "vitest";
import { START_RECORD_MS } from "../../durable-objects/dispatcher/limits.ts";
import { PING_INTERVAL_MS } from "../../protocol/session.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { traffic } from "../support/traffic.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

useVirtualTime();

const TIMEOUT_MS = 5_000;
const SLOW = { name: "slow", steps: [{ name: "only", timeoutMs: TIMEOUT_MS }] };
const ACTIONS = ["slow:only"];

interface Story {
  world: World;
  worker: FakeWorker;
  runs: string[];
}

/** Two runs, and one worker with one slot. */
async function begin(): Promise<Story> {
  const world = await createWorld();
  await world.register(SLOW);
  const worker = await world.connectWorker({ actions: ACTIONS, slots: 1 });
  const runs = await world.startRuns("slow", ["first", "second"]);
  return { world, worker, runs };
}

test("an attempt that runs out of time is cancelled and recorded as timed out", async () => {
  const { world, worker, runs } = await begin();
  const { task } = await worker.receiveTask({ timeoutMs: TIMEOUT_MS });
  await world.advance(TIMEOUT_MS - 1);
  expect(await worker.unreadWhenQuiet()).toEqual([]);
  await world.advance(1);
  await worker.receive("cancel", { task, attempt: 1, reason: "execution_timeout" });
  await world.settled();
  expect(await world.readRun(runs[0] ?? "")).toMatchObject({
    state: "failed",
    tasks: [
      {
        state: "failed",
        error: { code: "execution_timeout" },
        attempts: [{ attempt: 1, outcome: "timed_out", worker: "test-worker" }],
      },
    ],
  });
});

test("the slot of a cancelled attempt is taken until its worker lets go of it", async () => {
  const { world, worker } = await begin();
  const first = await worker.receiveTask({ input: "first" });
  await world.advance(TIMEOUT_MS);
  await worker.receive("cancel");
  expect(await worker.unreadWhenQuiet()).toEqual([]);
  worker.release(first);
  worker.complete(await worker.receiveTask({ input: "second" }));
  await worker.receive("recorded");
});

test("a result that comes after the timeout is stale and frees the slot", async () => {
  const { world, worker, runs } = await begin();
  const first = await worker.receiveTask({ input: "first" });
  await world.advance(TIMEOUT_MS);
  await world.settled();
  worker.complete(first, "too late");
  await worker.receive("stale", { task: first.task, attempt: 1 });
  await worker.receiveTask({ input: "second" });
  expect((await world.readRun(runs[0] ?? "")).tasks[0]).toMatchObject({
    state: "failed",
    output: null,
  });
});

test("a worker that lets go before the timeout is durable has its slot back", async () => {
  const { world, worker } = await begin();
  const first = await worker.receiveTask({ input: "first" });
  const held = await world.holdCommits();
  await world.advance(TIMEOUT_MS, { isStuck: true });
  await worker.receive("cancel");
  worker.release(first);
  await worker.receiveTask({ input: "second" });
  await held.release();
  await world.settled();
  const [lease] = await world.sql(
    "select count(*)::integer as held from v1.handout where tenant_id = $1 and cardinality(tasks) > 0",
    [world.tenant],
  );
  expect(lease?.["held"]).toBeGreaterThan(0);
});

test("a shard that slept remembers deadlines, and whose slots are still taken", async () => {
  const { world, worker } = await begin();
  const first = await worker.receiveTask({ input: "first" });
  await world.evictShard();
  await world.advance(TIMEOUT_MS);
  await worker.receive("cancel", { task: first.task });
  await world.settled();
  await world.evictShard();
  await world.shard.nudge();
  expect(await worker.unreadWhenQuiet()).toEqual([]);
  worker.release(first);
  await worker.receiveTask({ input: "second" });
});

test("an attempt can time out while its worker is away", async () => {
  const { world, worker, runs } = await begin();
  const first = await worker.receiveTask({ input: "first" });
  await world.advance(TIMEOUT_MS - 1_000);
  worker.vanish();
  await world.settled();
  await world.advance(1_000);
  await world.settled();
  const back = await world.openSocket();
  const running = [{ task: first.task, attempt: 1 }];
  const session = worker.welcome?.session ?? "";
  const welcome = await back.hello({ actions: ACTIONS, slots: 1, session, running });
  expect(welcome).toMatchObject({ session, resumed: [], stale: [] });
  await back.receive("cancel", { task: first.task, reason: "execution_timeout" });
  await world.settled();
  expect(await back.unreadWhenQuiet()).toEqual([]);
  back.release(first);
  await back.receiveTask({ input: "second" });
  expect((await world.readRun(runs[0] ?? "")).tasks[0]?.attempts).toMatchObject([
    { outcome: "timed_out" },
  ]);
});

test("the start of an attempt that runs long is written down; a short one costs no commit", async () => {
  const { world, worker, runs } = await begin();
  worker.complete(await worker.receiveTask({ input: "first" }));
  const second = await worker.receiveTask({ input: "second" });
  await world.settled();
  expect(traffic.commitsOf(world.tenant).some(({ started }) => started)).toBe(false);
  const startedAt = new Date().toISOString();
  const read = () => world.readRun(runs[1] ?? "");
  await world.advance(START_RECORD_MS - 1);
  expect(await read()).toMatchObject({ state: "queued", tasks: [{ state: "queued" }] });

  await world.advance(1);
  await world.settled();
  const running = { state: "running", startedAt };
  expect(await read()).toMatchObject({ ...running, tasks: [{ ...running, attempts: [] }] });
  await world.advance(START_RECORD_MS);
  await world.settled();
  const rows = traffic.commitsOf(world.tenant).flatMap(({ started }) => started ?? []);
  expect(rows.map(({ t }) => t)).toEqual([second.task]); // once, and not for the first
});

test("an attempt may run longer than the heartbeat limit while its worker pings", async () => {
  const world = await createWorld();
  await world.register({ name: "long", steps: [{ name: "only", timeoutMs: 600_000 }] });
  const worker = await world.connectWorker({ actions: ["long:only"] });
  await world.startRun({ workflow: "long" });
  const task = await worker.receiveTask();
  for (let passedMs = 0; passedMs < 120_000; passedMs += PING_INTERVAL_MS) {
    await world.advance(PING_INTERVAL_MS);
    await world.ping(worker);
  }
  worker.complete(task);
  await worker.receive("recorded", { attempt: 1 });
});

test("an attempt whose result an earlier life has made durable is recorded, though a later one timed it out", async () => {
  const world = await createWorld();
  await world.register(SLOW);
  const worker = await world.connectWorker({ actions: ACTIONS });
  const run = await world.startRun({ workflow: "slow" });
  const task = await worker.receiveTask();
  traffic.loseAnswers(1);
  worker.complete(task, "in time");
  await world.settled();
  await world.crashShard();

  // The next life knows of an attempt under way, and Postgres tells it nothing while its time runs out.
  const held = await world.holdCommits();
  const back = await world.openSocket();
  const { task: id, attempt } = task;
  const session = worker.welcome?.session ?? "";
  await back.hello({ actions: ACTIONS, session, running: [{ task: id, attempt }] });
  await world.advance(TIMEOUT_MS + 1, { isStuck: true });
  await back.receive("cancel", { task: task.task, reason: "execution_timeout" });
  back.complete(task, "in time");
  await held.release();
  await back.receive("recorded", { task: task.task, attempt: 1 });
  expect(await world.readRun(run.id)).toMatchObject({
    state: "completed",
    tasks: [{ output: "in time", attempts: [{ outcome: "completed" }] }],
  });
});
