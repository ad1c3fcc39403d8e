/** Workers that leave: they finish what they have and get nothing new. */
import { expect, test } from "vitest";
import { CLOSE_DRAINED } from "../../protocol/errors.ts";
import { createWorld, useVirtualTime } from "../support/world.ts";

useVirtualTime();

const SIMPLE = { name: "simple", steps: [{ name: "only" }] };
const ACTIONS = ["simple:only"];

test("a draining worker gets no new task, and its results still count", async () => {
  const world = await createWorld();
  await world.register(SIMPLE);
  const leaving = await world.connectWorker({ actions: ACTIONS });
  const [first] = await world.startRuns("simple", ["first"]);
  const task = await leaving.receiveTask({ input: "first" });
  leaving.say({ type: "drain" });
  await world.settled();
  await world.startRuns("simple", ["second"]);
  expect(await leaving.unreadWhenQuiet()).toEqual([]);

  leaving.complete(task);
  await leaving.receive("recorded");
  expect(await world.readRun(first ?? "")).toMatchObject({ state: "completed" });
  expect(await leaving.unreadWhenQuiet()).toEqual([]);
  const staying = await world.connectWorker({ actions: ACTIONS });
  await staying.receiveTask({ input: "second", attempt: 1 });
});

test("a worker that drains is still draining when its shard has slept", async () => {
  const world = await createWorld();
  await world.register(SIMPLE);
  const leaving = await world.connectWorker({ actions: ACTIONS });
  leaving.say({ type: "drain" });
  await world.settled();
  await world.evictShard();
  await world.startRuns("simple", ["first"]);
  expect(await leaving.unreadWhenQuiet()).toEqual([]);
});

test("a drained worker's session ends at once, and what it left behind moves on", async () => {
  const world = await createWorld();
  await world.register(SIMPLE);
  const leaving = await world.connectWorker({ actions: ACTIONS, worker: "leaving" });
  const run = await world.startRun({ workflow: "simple" });
  await leaving.receiveTask();
  const staying = await world.connectWorker({ actions: ACTIONS, worker: "staying" });
  leaving.say({ type: "drain" });
  leaving.close(CLOSE_DRAINED);
  staying.complete(await staying.receiveTask({ attempt: 2 })); // no time has passed
  await staying.receive("recorded");
  expect((await world.readRun(run.id)).tasks[0]?.attempts).toMatchObject([
    { outcome: "lost", worker: "leaving" },
    { outcome: "completed", worker: "staying" },
  ]);

  const back = await world.openSocket();
  const session = leaving.welcome?.session ?? "";
  expect((await back.hello({ actions: ACTIONS, session })).session).not.toBe(session);
});

test("a drained worker that has nothing leaves nothing to wake up for", async () => {
  const world = await createWorld();
  const leaving = await world.connectWorker({ actions: ACTIONS });
  await world.advance(20_000);
  leaving.say({ type: "drain" });
  leaving.close(CLOSE_DRAINED);
  await world.settled();
  await world.advance(20_000);
  expect(await world.alarmAt()).toBeNull();
});
