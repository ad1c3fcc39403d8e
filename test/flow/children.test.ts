/** Runs that handlers start: how they end, who waits for them, and what becomes of them. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { RunHandle } from "../../sdk/index.ts";
import { family } from "./children-workflows.ts";
import { FlowWorld } from "./world.ts";

let world: FlowWorld;

beforeAll(async () => {
  world = await FlowWorld.startOnMain();
});
afterEach(() => world.stopWorkers());
afterAll(() => world?.stop());

interface Family {
  parent: RunHandle<{ sum: number; attempt: number; children: string[] }>;
  release: () => void;
  /** What each child's signal told it, once it has. */
  told: Promise<string>[];
  labels: { family: string };
}

/** A parent that waits for three children, each of which has begun and is held. */
async function startFamily(options: { isDetached?: boolean } = {}): Promise<Family> {
  const { hold, release } = world.holdFile();
  const began = [1, 2, 3].map(() => world.newFile());
  const told = [1, 2, 3].map(() => world.newFile());
  const [eldest, ...others] = [0, 1, 2].map((index) => ({
    n: index + 1,
    began: began[index],
    told: told[index],
    hold,
  }));
  const labels = { family: crypto.randomUUID() };
  const input = { eldest: eldest ?? { n: 0 }, others, metadata: labels, ...options };
  const parent = await world.client.start(family, input);
  await Promise.all(began.map((file) => world.read(file)));
  return { parent, release, told: told.map((file) => world.read(file)), labels };
}

test("a handler gets its children's results, and its only slot is theirs while it waits", async () => {
  await world.startWorker({ slots: 1 });
  const input = { eldest: { n: 1 }, others: [{ n: 2 }, { n: 3 }] };
  const handle = await world.client.start(family, input);
  const { sum, children } = await handle.result();
  expect(sum).toBe(12);
  const { tasks } = await world.client.runs.get(handle.id);
  expect(tasks[0]?.children.map(({ key }) => key)).toEqual(["eldest", "other-2", "other-3"]);
  expect(tasks[0]?.children.map(({ run }) => run)).toEqual(children);
});

test("a parent whose worker is killed while it waits finds the same children again", async () => {
  const doomed = await world.startWorker({ reconnectGrace: 0 });
  const { parent, release, labels } = await startFamily();
  await world.stopWorker(doomed, "SIGKILL");
  await world.startWorker();
  release();
  const { sum, attempt, children } = await parent.result();
  expect({ sum, attempt }).toEqual({ sum: 12, attempt: 2 });
  const { items } = await world.client.runs.list({ workflow: "leaf", metadata: labels });
  expect(items.map(({ id }) => id).toSorted()).toEqual(children.toSorted());
  const task = (await world.client.runs.get(parent.id)).tasks[0];
  expect(task?.children.map(({ run }) => run)).toEqual(children);
  expect(items.every((child) => child.parent?.task === task?.id)).toBe(true);
});

test("a cancelled parent's children are cancelled with it, but for a detached one", async () => {
  await world.startWorker();
  const { parent, release, told, labels } = await startFamily({ isDetached: true });
  expect(await parent.cancel({ reason: "moved away" })).toMatchObject({ cancelled: true });
  await expect(parent.result()).rejects.toThrow("moved away");
  const [, ...attached] = told;
  expect(await Promise.all(attached)).toEqual(["cancelled", "cancelled"]);
  release();
  const { items } = await world.client.runs.list({ workflow: "leaf", metadata: labels });
  const ends = await Promise.all(items.map(({ id }) => world.client.runs.result(id)));
  expect(ends.map(({ state }) => state)).toEqual(["cancelled", "cancelled", "completed"]);
  expect(ends.map(({ error }) => error?.code)).toEqual(["cancelled", "cancelled", undefined]);
});
