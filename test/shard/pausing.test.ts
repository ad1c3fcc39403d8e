/** Workers and workflows that are paused, workers that are asked to leave, and their own limits. */
import { expect, test } from "vitest";
import { MIN_HEARTBEAT_LIMIT_MS } from "../../protocol/session.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

useVirtualTime();

const SIMPLE = { name: "simple", steps: [{ name: "only" }] };
const ACTIONS = ["simple:only"];

async function begin(): Promise<World> {
  const world = await createWorld();
  await world.register(SIMPLE);
  return world;
}

test("a worker that a person has paused takes nothing until it is resumed, over a reconnect", async () => {
  const world = await begin();
  const worker = await world.connectWorker({ actions: ACTIONS });
  const session = worker.welcome?.session ?? "";
  expect(await world.shard.pauseWorker(session, true)).toBe(true);
  await worker.receive("pause");
  await world.startRun({ workflow: "simple" });
  expect(await worker.unreadWhenQuiet()).toEqual([]);
  worker.vanish();
  await world.settled();
  await world.evictShard();
  const back = await world.openSocket();
  await back.hello({ actions: ACTIONS, session });
  await back.receive("pause");
  expect(await world.shard.workers()).toMatchObject([{ id: session, state: "paused" }]);
  await world.shard.pauseWorker(session, false);
  await back.receive("resume");
  await back.receiveTask();
});

test("a worker may pause and resume itself", async () => {
  const world = await begin();
  const worker = await world.connectWorker({ actions: ACTIONS, isPaused: true });
  await world.startRun({ workflow: "simple" });
  expect(await worker.unreadWhenQuiet()).toEqual([]);
  worker.say({ type: "resume" });
  worker.complete(await worker.receiveTask());
  await worker.receive("recorded");
  worker.say({ type: "pause" });
  await world.startRun({ workflow: "simple" });
  expect(await worker.unreadWhenQuiet()).toEqual([]);
});

test("a worker that is asked to leave hears it, and takes nothing more", async () => {
  const world = await begin();
  const worker = await world.connectWorker({ actions: ACTIONS });
  expect(await world.shard.drainWorker(worker.welcome?.session ?? "")).toBe(true);
  await worker.receive("drain");
  await world.startRun({ workflow: "simple" });
  expect(await worker.unreadWhenQuiet()).toEqual([]);
  expect(await world.shard.drainWorker("nobody")).toBe(false);
});

test("a worker's own limits hold: its silence, and how long it may be away", async () => {
  const world = await begin();
  const limits = { heartbeatLimitMs: MIN_HEARTBEAT_LIMIT_MS, resumeGraceMs: 0 };
  const hasty = await world.connectWorker({ actions: ACTIONS, worker: "hasty", ...limits });
  expect(hasty.welcome).toMatchObject({ ...limits, pingIntervalMs: 666 });
  await world.startRun({ workflow: "simple" });
  await hasty.receiveTask({ attempt: 1 });
  const other = await world.connectWorker({ actions: ACTIONS, worker: "other", ...limits });
  await world.advance(MIN_HEARTBEAT_LIMIT_MS);
  await other.receiveTask({ attempt: 2 });

  other.vanish(); // its close is seen, and there is no grace
  await world.settled();
  await world.advance(1);
  const third = await world.connectWorker({ actions: ACTIONS });
  await third.receiveTask({ attempt: 3 });
});

test("runs of a paused workflow wait, and all start when it is resumed", async () => {
  const world = await begin();
  await world.call("PUT", "/workflows/simple/pause", { mode: "hold" });
  const runs = await world.startRuns("simple", [1, 2, 3]);
  const worker = await world.connectWorker({ actions: ACTIONS });
  await world.advance(60_000);
  expect(await worker.unreadWhenQuiet()).toEqual([]);
  expect((await world.readRun(runs[0] ?? "")).tasks[0]?.state).toBe("waiting");
  await world.call("DELETE", "/workflows/simple/pause");
  const tasks = await worker.receiveTasks(3);
  expect(tasks.map(({ run }) => run).toSorted()).toEqual(runs.toSorted());
});

test("runs of a workflow that drops them don't happen", async () => {
  const world = await begin();
  await world.register({ ...SIMPLE, events: ["thing:happened"] });
  await world.call("PUT", "/workflows/simple/pause", { mode: "drop" });
  const { status, body } = await world.call("POST", "/runs", { workflow: "simple" });
  expect([status, body]).toMatchObject([409, { code: "workflow_paused" }]);
  const event = await world.call<{ runs: string[] }>("POST", "/events", { key: "thing:happened" });
  expect([event.status, event.body.runs]).toEqual([201, []]);
});

test("a worker that a person resumed while it was away is not paused when it returns", async () => {
  const world = await createWorld();
  await world.register({ name: "chain", steps: [{ name: "first" }] });
  const worker = await world.connectWorker({ actions: ["chain:first"] });
  const session = worker.welcome?.session ?? "";
  await world.call("PUT", `/workers/${session}/pause`);
  await worker.receive("pause");
  worker.say({ type: "pause" });
  worker.vanish();
  await world.settled();
  expect((await world.call("DELETE", `/workers/${session}/pause`)).status).toBe(200);
  const back = await world.openSocket();
  await back.hello({ actions: ["chain:first"], session, isPaused: true });
  await world.startRun({ workflow: "chain" });
  await back.receiveTask();
});
