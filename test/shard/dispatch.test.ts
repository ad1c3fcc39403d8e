/** What a shard does with runs and workers while nothing goes wrong. */
import { expect, test } from "vitest";
import { createWorld, useVirtualTime } from "../support/world.ts";

useVirtualTime();

test("a run's steps go to a worker in the order of the DAG, with their parents' outputs", async () => {
  const world = await createWorld();
  await world.register({
    name: "diamond",
    steps: [
      { name: "top" },
      { name: "left", parents: ["top"] },
      { name: "right", parents: ["top"] },
      { name: "bottom", parents: ["left", "right"] },
    ],
  });
  const actions = ["top", "left", "right", "bottom"].map((step) => `diamond:${step}`);
  const worker = await world.connectWorker({ actions });
  const run = await world.startRun({ workflow: "diamond", input: { n: 1 } });

  worker.complete(await worker.receiveTask({ step: "top", input: { n: 1 }, parents: {} }), "t");
  const first = await worker.receiveTask({ parents: { top: "t" } });
  const second = await worker.receiveTask({ parents: { top: "t" } });
  expect([first.step, second.step].toSorted()).toEqual(["left", "right"]);
  worker.complete(first, first.step);
  worker.complete(second, second.step);
  const bottom = await worker.receiveTask({
    step: "bottom",
    parents: { left: "left", right: "right" },
  });
  worker.complete(bottom, "done");
  for (let count = 0; count < 4; count++) await worker.receive("recorded");

  expect(await world.readRun(run.id)).toMatchObject({ state: "completed" });
});

test("connected workers that have nothing to do cost no query and no alarm", async () => {
  const world = await createWorld();
  await world.register({ name: "idle", steps: [{ name: "only" }] });
  const worker = await world.connectWorker({ actions: ["idle:only"] });
  const run = await world.startRun({ workflow: "idle" });
  worker.complete(await worker.receiveTask());
  await worker.receive("recorded");
  await world.advance(10_000);
  expect(await world.alarmAt()).toBeNull();
  await world.advance(5 * 60_000);
  expect(await world.alarmAt()).toBeNull();
  expect(await world.readRun(run.id)).toMatchObject({ state: "completed" });
  expect(await world.sql("select * from v1.handout where tenant_id = $1", [world.tenant])).toEqual(
    [],
  );
});
