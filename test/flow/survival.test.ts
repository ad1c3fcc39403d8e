/** Whatever dies in the middle, nothing is lost and nothing is recorded twice. */
import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FlowWorld } from "./world.ts";
import { counted } from "./workflows.ts";

let world: FlowWorld;

beforeAll(async () => {
  world = await FlowWorld.startOnMain();
});
afterAll(() => world?.stop());

/** Runs that are all held in their second step, on whoever has them. */
async function startHeld(
  count: number,
): Promise<{ ids: string[]; release: () => void; finish: () => Promise<unknown> }> {
  const { hold, release } = world.holdFile();
  const handles = await world.client.startMany(
    counted,
    Array.from({ length: count }, (_, n) => ({ input: { n, hold } })),
  );
  return {
    ids: handles.map(({ id }) => id),
    release,
    finish: () => Promise.all(handles.map((handle) => handle.result())),
  };
}

/** Resolves when so many attempts of the second step run for so long that their start is recorded. */
async function untilRunning(ids: string[]): Promise<void> {
  for (const id of ids) {
    for (;;) {
      const { tasks } = await world.client.runs.get(id);
      if (tasks.some(({ step, state }) => step === "wait" && state === "running")) break;
    }
  }
}

test("a worker killed with SIGKILL: its tasks go to another, with the next attempt", async () => {
  const [doomed, survivor] = await Promise.all([world.startWorker(), world.startWorker()]);
  const { ids, release, finish } = await startHeld(12);
  await untilRunning(ids);
  doomed.kill("SIGKILL");
  await once(doomed, "exit");
  release();
  await finish();
  const runs = await world.expectCompletedOnce(ids);
  const lost = runs
    .flatMap(({ tasks }) => tasks.flatMap(({ attempts }) => attempts))
    .filter(({ outcome }) => outcome === "lost");
  expect(lost.length).toBeGreaterThan(0);
  await world.expectNothingLeft();
  survivor.kill("SIGTERM");
  await once(survivor, "exit");
});

test("a shard evicted with its sockets closed: workers resume, no attempt is repeated", async () => {
  const worker = await world.startWorker();
  const { ids, release, finish } = await startHeld(10);
  await untilRunning(ids);
  await world.evictShard();
  release();
  await finish();
  const runs = await world.expectCompletedOnce(ids);
  expect(runs.flatMap(({ tasks }) => tasks).every(({ attempts }) => attempts.length === 1)).toBe(
    true,
  );
  await world.expectNothingLeft();
  worker.kill("SIGTERM");
  await once(worker, "exit");
});

test("workerd killed and started again under load: every accepted run finishes once", async () => {
  const worker = await world.startWorker();
  const held = await startHeld(10);
  await untilRunning(held.ids);
  await world.stack.workerd.kill();
  // Calls made while nobody answers are repeated by the client until somebody does.
  const during = world.client.startMany(
    counted,
    Array.from({ length: 50 }, (_, n) => ({ input: { n } })),
  );
  await world.stack.workerd.restart();
  held.release();
  const handles = await during;
  await Promise.all([held.finish(), ...handles.map((handle) => handle.result())]);
  await world.expectCompletedOnce([...held.ids, ...handles.map(({ id }) => id)]);
  await world.expectNothingLeft();
  worker.kill("SIGTERM");
  await once(worker, "exit");
});

test("a worker told to stop finishes what it has, and takes no more", async () => {
  const [leaving, staying] = await Promise.all([world.startWorker(), world.startWorker()]);
  const { ids, release, finish } = await startHeld(10);
  await untilRunning(ids);
  leaving.kill("SIGTERM");
  const more = await startHeld(5);
  await untilRunning(more.ids);
  release();
  more.release();
  await Promise.all([finish(), more.finish(), once(leaving, "exit")]);
  const runs = await world.expectCompletedOnce([...ids, ...more.ids]);
  expect(runs.flatMap(({ tasks }) => tasks).every(({ attempts }) => attempts.length === 1)).toBe(
    true,
  );
  staying.kill("SIGTERM");
  await once(staying, "exit");
});
