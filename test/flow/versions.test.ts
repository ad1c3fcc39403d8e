/** Versions under load: workers of each come and go, and no run leaves the DAG that it began with. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { SHAPES, versioned } from "./versioned-workflow.ts";
import { FlowWorld } from "./world.ts";

const RUNS_A_TURN = 40;

let world: FlowWorld;

beforeAll(async () => {
  world = await FlowWorld.startOnMain();
});
afterAll(() => world?.stop());

test("runs finish on the DAG they began with, while versions and workers come and go", async () => {
  const { workflows } = world.client;
  const startWorker = (version: number, name: string) =>
    world.startWorker({ name, version, reconnectGrace: 0, activate: "never" });
  const start = async (): Promise<string[]> => {
    const items = Array.from({ length: RUNS_A_TURN }, (_, n) => ({ input: { n } }));
    const handles = await world.client.startMany(versioned(1), items);
    return handles.map(({ id }) => id);
  };
  const promotion = { version: 2, percent: 50, key: "input.n" };
  let oldest = await startWorker(1, "one");
  const runs = await start();
  const turns = [
    () => startWorker(2, "two"),
    () => workflows.activate("versioned", { version: 2 }),
    () => startWorker(3, "three"),
    () => workflows.activate("versioned", { version: 3 }),
    () => workflows.promote("versioned", promotion),
    () => workflows.rollback("versioned"),
    () => workflows.promote("versioned", { ...promotion, version: 3 }),
    () => workflows.rollback("versioned"),
  ];
  for (const [turn, change] of turns.entries()) {
    const starting = start();
    await change();
    runs.push(...(await starting));
    if (turn % 2 === 0) continue;
    // What it has goes to workers of other versions, until it is back.
    await world.stopWorker(oldest, "SIGKILL");
    oldest = await startWorker((turn % 3) + 1, `again ${turn}`);
  }
  runs.push(...(await start()));

  await Promise.all(runs.map((id) => world.client.runs.result(id)));
  const found = await Promise.all(runs.map((id) => world.client.runs.get(id)));
  expect(new Set(found.map(({ version }) => version))).toEqual(new Set([1, 2, 3]));
  for (const { state, version, tasks } of found) {
    expect(state).toBe("completed");
    expect(tasks.map(({ step }) => step)).toEqual(SHAPES[version - 1]);
    expect(tasks.map(({ output }) => (output as { step: string }).step)).toEqual(
      SHAPES[version - 1],
    );
  }
  const { items } = await workflows.versions("versioned");
  expect(items.map(({ number, isActive }) => [number, isActive])).toEqual([
    [3, false],
    [2, false],
    [1, true],
  ]);
});
