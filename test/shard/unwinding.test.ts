/** Runs that fail: what has completed is undone in reverse, then the failure is seen to. */
import { expect, test } from "vitest";
import type { WorkflowDefinition } from "../../protocol/http.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

useVirtualTime();

const TRIP: WorkflowDefinition = {
  name: "trip",
  timeoutMs: 60_000,
  onFailure: {},
  steps: [
    { name: "flight", compensate: {} },
    {
      name: "hotel",
      parents: ["flight"],
      timeoutMs: 600_000,
      compensate: { retries: 1, backoff: { initialMs: 1 } },
    },
    { name: "car", parents: ["hotel"] },
  ],
};
const ACTIONS = [
  "trip:flight",
  "trip:flight:compensate",
  "trip:hotel",
  "trip:hotel:compensate",
  "trip:car",
  "trip:on-failure",
];

async function begin(): Promise<{ world: World; worker: FakeWorker; run: string }> {
  const world = await createWorld();
  await world.register(TRIP);
  const worker = await world.connectWorker({ actions: ACTIONS });
  const { id } = await world.startRun({ workflow: "trip", input: "input" });
  return { world, worker, run: id };
}

async function complete(worker: FakeWorker, step: string, output: string): Promise<void> {
  worker.complete(await worker.receiveTask({ step }), output);
  await worker.receive("recorded");
}

test("completed steps are undone last first, then the failure is seen to", async () => {
  const { world, worker, run } = await begin();
  await complete(worker, "flight", "f");
  await complete(worker, "hotel", "h");
  worker.fail(await worker.receiveTask({ step: "car" }), "no cars");
  await worker.receive("recorded");
  expect((await world.readRun(run)).state).toBe("running");
  const parents = { hotel: "h", flight: "f" };
  worker.complete(await worker.receiveTask({ step: "hotel:compensate", input: "input", parents }));
  await worker.receive("recorded");
  await complete(worker, "flight:compensate", "undone");
  const last = await worker.receiveTask({ step: "on-failure" });
  expect(last.failures).toMatchObject([{ step: "car", error: { message: "no cars" } }]);
  worker.complete(last);
  await worker.receive("recorded");
  const read = await world.readRun(run);
  expect(read.state).toBe("failed");
  expect(read.tasks.map(({ step, kind, state }) => [step, kind, state])).toEqual([
    ["flight", "step", "completed"],
    ["hotel", "step", "completed"],
    ["car", "step", "failed"],
    ["flight:compensate", "compensate", "completed"],
    ["hotel:compensate", "compensate", "completed"],
    ["on-failure", "on_failure", "completed"],
  ]);
  const { body } = await world.call("GET", `/runs/${run}/result`);
  expect(body).toMatchObject({ outputs: { flight: "f", hotel: "h" }, error: { step: "car" } });
});

test("a compensation that fails is retried, and then does not stop the others", async () => {
  const { world, worker, run } = await begin();
  await complete(worker, "flight", "f");
  await complete(worker, "hotel", "h");
  worker.fail(await worker.receiveTask({ step: "car" }), "no cars");
  worker.fail(await worker.receiveTask({ step: "hotel:compensate", attempt: 1 }), "not yet");
  await worker.receive("recorded");
  await worker.receive("recorded");
  await world.advance(1);
  worker.fail(await worker.receiveTask({ step: "hotel:compensate", attempt: 2 }), "never");
  await worker.receive("recorded");
  await complete(worker, "flight:compensate", "undone");
  const { failures } = await worker.receiveTask({ step: "on-failure" });
  expect(failures?.map(({ step }) => step)).toEqual(["car", "hotel:compensate"]);
  expect((await world.readRun(run)).state).toBe("running");
});

test("a run that takes too long is unwound as one that failed", async () => {
  const { world, worker, run } = await begin();
  await complete(worker, "flight", "f");
  const held = await worker.receiveTask({ step: "hotel" });
  for (let passed = 0; passed < 60_000; passed += 10_000) {
    await world.ping(worker);
    await world.advance(10_000);
  }
  worker.release(await worker.receive("cancel", { task: held.task }));
  await complete(worker, "flight:compensate", "undone");
  const last = await worker.receiveTask({ step: "on-failure" });
  expect(last.failures).toMatchObject([{ step: null, error: { code: "run_timeout" } }]);
  worker.complete(last);
  await worker.receive("recorded");
  expect(await world.readRun(run)).toMatchObject({
    state: "failed",
    error: { code: "run_timeout" },
  });
});

test("a cancelled run is not unwound", async () => {
  const { world, worker, run } = await begin();
  await complete(worker, "flight", "f");
  worker.release(await worker.receiveTask({ step: "hotel" }));
  await world.call("POST", `/runs/${run}/cancel`);
  await world.settled();
  expect((await worker.unreadWhenQuiet()).filter(({ type }) => type === "task")).toEqual([]);
  expect((await world.readRun(run)).state).toBe("cancelled");
});

test("a run that completes has nothing to undo", async () => {
  const { world, worker, run } = await begin();
  for (const step of ["flight", "hotel", "car"]) await complete(worker, step, step);
  expect(await worker.unreadWhenQuiet()).toEqual([]);
  const read = await world.readRun(run);
  expect(read).toMatchObject({ state: "completed" });
  expect(read.tasks).toHaveLength(3);
});

test("a step is undone after those below it, whatever their workers' clocks say", async () => {
  const world = await createWorld();
  await world.register({
    name: "trip",
    steps: [
      { name: "flight", compensate: {} },
      { name: "hotel", parents: ["flight"], compensate: {} },
      { name: "car", parents: ["hotel"] },
    ],
  });
  const actions = ["flight", "flight:compensate", "hotel", "hotel:compensate", "car"];
  const worker = await world.connectWorker({ actions: actions.map((name) => `trip:${name}`) });
  await world.startRun({ workflow: "trip" });
  const { task, attempt, shard } = await worker.receiveTask({ step: "flight" });
  const finishedAt = Date.now() + 5_000; // the clock of this worker is five seconds fast
  const times = { startedAt: finishedAt - 10, finishedAt };
  worker.say({ type: "completed", task, attempt, shard, output: null, ...times });
  worker.complete(await worker.receiveTask({ step: "hotel" }));
  worker.fail(await worker.receiveTask({ step: "car" }), "no cars");
  const first = await worker.receiveTask();
  expect(first.step).toBe("hotel:compensate");
});
