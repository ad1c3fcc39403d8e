/** What a person does about runs, workflows and workers: cancel, replay, pause, drain. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RunResult, WorkerRecord } from "../../sdk/index.ts";
import { leaf } from "./children-workflows.ts";
import { mended } from "./failing-workflows.ts";
import { counted } from "./workflows.ts";
import { FlowWorld } from "./world.ts";

let world: FlowWorld;
let first: ChildProcess;

beforeAll(async () => {
  world = await FlowWorld.startOnMain();
  first = await world.startWorker({ name: "first" });
});
afterAll(() => world?.stop());

test("runs that fit a filter are cancelled, and no others", async () => {
  const { hold, release } = world.holdFile();
  const items = ["acme", "acme", "acme", "other"].map((customer, n) => ({
    input: { n, hold },
    metadata: { customer },
  }));
  const handles = await world.client.startMany(counted, items);
  expect(await world.client.runs.cancelMany({ metadata: { customer: "acme" } })).toBe(3);
  release();
  const ends = await Promise.all(handles.map(({ id }) => world.client.runs.result(id)));
  expect(ends.map(({ state }) => state)).toEqual([
    "cancelled",
    "cancelled",
    "cancelled",
    "completed",
  ]);
});

/** A run of the faulty workflow that has failed. */
async function failedRun(fix: string): Promise<string> {
  const { id } = await world.client.start(mended, { fix }, { metadata: { fix } });
  const { state } = await world.client.runs.result(id);
  expect(state).toBe("failed");
  return id;
}

async function outputsOf(id: string): Promise<RunResult["outputs"]> {
  return (await world.client.runs.result(id)).outputs;
}

test("a failed run is replayed from its failure with an edited input, and from a step", async () => {
  const id = await failedRun(world.newFile());
  const { hold: fix, release: fixIt } = world.holdFile();
  fixIt();
  const again = await world.client.runs.replay(id, { fromFailure: true, input: { fix } });
  const outputs = await again.result();
  expect(outputs).toMatchObject({ before: (await outputsOf(id))["before"] });
  expect(outputs["faulty"]).toMatchObject({ before: outputs["before"], made: outputs["after"] });
  const run = await world.client.runs.get(again.id);
  expect(run).toMatchObject({ replayOf: id, input: { fix }, state: "completed" });

  const last = await world.client.runs.replay(again.id, { fromStep: "after" });
  expect(await last.result()).toEqual(outputs);
  const anew = await world.client.runs.replay(again.id);
  expect((await anew.result())["before"]).not.toBe(outputs["before"]);
  expect((await world.client.runs.get(id)).state).toBe("failed"); // finished history never changes
});

test("what failed of a mended bug is replayed by a filter, each run once", async () => {
  const { hold: fix, release: fixIt } = world.holdFile();
  const failed = await Promise.all([failedRun(fix), failedRun(fix), failedRun(fix)]);
  fixIt();
  const replayed = await world.client.runs.replayMany(
    { workflow: "mended", state: "failed", metadata: { fix } },
    { fromFailure: true },
  );
  expect(replayed.map(({ replayOf }) => replayOf)).toEqual(failed.toSorted());
  const ends = await Promise.all(replayed.map(({ id }) => world.client.runs.result(id)));
  expect(ends.map(({ state }) => state)).toEqual(["completed", "completed", "completed"]);
});

test("runs of a paused workflow are held until it is resumed, and others go on", async () => {
  await world.client.workflows.pause("chain", { mode: "hold" });
  const held = await world.client.start(counted, { n: 1 });
  await failedRun(world.newFile()); // begun later, and ended
  const { state, tasks } = await world.client.runs.get(held.id);
  expect([state, ...tasks.map((task) => task.state)]).toEqual([
    "queued",
    "waiting",
    "waiting",
    "waiting",
  ]);
  await world.client.workflows.resume("chain");
  expect(await held.result()).toMatchObject({ n: 3 });
});

async function workerNamed(name: string): Promise<WorkerRecord> {
  const found = (await world.client.workers.list()).find((worker) => worker.name === name);
  return found ?? expect.fail(`There is no worker named ${name}`);
}

test("a paused worker gets nothing until it is resumed; one told to drain finishes and ends", async () => {
  const second = await world.startWorker({ name: "second" });
  await world.client.workers.pause((await workerNamed("second")).id);
  expect(await workerNamed("second")).toMatchObject({ state: "paused", usedSlots: 0 });
  const { hold, release } = world.holdFile();
  const files = [1, 2, 3].map(() => world.newFile());
  const items = files.map((began, n) => ({ input: { n, began, hold } }));
  const runs = await world.client.startMany(leaf, items);
  await Promise.all(files.map((began) => world.read(began)));
  const exited = once(first, "exit");
  await world.client.workers.drain((await workerNamed("first")).id);
  await world.client.workers.resume((await workerNamed("second")).id);
  const next = await world.client.run(counted, { n: 5 });
  release();
  expect(await Promise.all(runs.map((handle) => handle.result()))).toHaveLength(3);
  expect(await exited).toEqual([0, null]);
  const ended = await Promise.all(runs.map(({ id }) => world.client.runs.get(id)));
  const workers = ended.map(({ tasks: [task] }) => task?.attempts.map(({ worker }) => worker));
  expect(workers).toEqual([["first"], ["first"], ["first"]]);
  expect(next.worker).toBe(second.pid);
  const states = (await world.client.workers.list()).map(({ name, state }) => ({ name, state }));
  expect(states).toEqual([{ name: "second", state: "connected" }]);
});
