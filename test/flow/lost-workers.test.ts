/** How soon a task runs elsewhere when its worker dies or hangs, in real time: the limits we promise. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Run, WorkerRecord } from "../../sdk/index.ts";
import { leaf } from "./children-workflows.ts";
import { blocking } from "./failing-workflows.ts";
import { FlowWorld, said } from "./world.ts";

let world: FlowWorld;

beforeAll(async () => {
  world = await FlowWorld.startOnMain();
});
afterEach(() => world.stopWorkers());
afterAll(() => world?.stop());

/** Starts a run that blocks its worker, and says when it began to. */
async function startBlocking(blockMs: number): Promise<{ id: string; blockedAt: number }> {
  const began = world.newFile();
  const { id } = await world.client.start(blocking, { blockMs, began });
  return { id, blockedAt: Number(await world.read(began)) };
}

/** One that is connected: those of the test before may still be listed. */
async function workerNamed(name: string): Promise<WorkerRecord | undefined> {
  const workers = await world.client.workers.list();
  return workers.find((worker) => worker.name === name && worker.state !== "disconnected");
}

/** The finished run, which took two attempts, and when the second began. */
async function rescued(id: string): Promise<{ run: Run; againAt: number }> {
  await world.client.runs.result(id);
  const run = await world.client.runs.get(id);
  const attempts = run.tasks[0]?.attempts ?? [];
  expect(attempts).toMatchObject([
    { attempt: 1, outcome: "lost", error: { code: "worker_lost" } },
    { attempt: 2, outcome: "completed", worker: "rescuer" },
  ]);
  expect(run.tasks[0]?.output).toEqual({ attempt: 2 });
  return { run, againAt: Date.parse(attempts[1]?.startedAt ?? "") };
}

test("a worker that blocks for longer than its heartbeat loses its task, and its late report", async () => {
  const zombie = await world.startWorker({ name: "zombie", heartbeat: "2s" });
  const refusal = said(zombie, /came too late/);
  const { id, blockedAt } = await startBlocking(5_000);
  await world.startWorker({ name: "rescuer" });
  const { run, againAt } = await rescued(id);
  expect(againAt - blockedAt).toBeLessThan(3_000);
  expect(await refusal).toContain(`run ${id} (attempt 1)`);
  expect((await world.client.runs.get(id)).tasks).toEqual(run.tasks);
});

test("a worker that can't take a task in loses it within 3 s, and gets no more until it can", async () => {
  const hung = await world.startWorker({ name: "hung" });
  // It is there, and takes nothing yet: how long a program needs to start is not what is measured.
  await world.startWorker({ name: "rescuer" });
  const { id: rescuer = "" } = (await workerNamed("rescuer")) ?? {};
  await world.client.workers.pause(rescuer);
  const blocked = await startBlocking(5_000);
  const { id } = await world.client.start(leaf, { n: 1 });
  await world.client.workers.resume(rescuer);
  // Seen while it hangs: when the result has come, it may be over.
  await expect
    .poll(async () => (await workerNamed("hung"))?.state, { timeout: 10_000 })
    .toBe("stalled");
  await world.client.runs.result(id);
  const { tasks, createdAt } = await world.client.runs.get(id);
  expect(tasks[0]?.attempts).toMatchObject([
    { outcome: "lost", error: { code: "not_received" } },
    { outcome: "completed", worker: "rescuer" },
  ]);
  const againAt = Date.parse(tasks[0]?.attempts[1]?.startedAt ?? "");
  expect(againAt - Date.parse(createdAt)).toBeLessThan(3_000);
  expect(await world.client.runs.result(blocked.id)).toMatchObject({
    outputs: { block: { attempt: 1 } }, // it was late for the other task, not for its own
  });
  await world.stopWorker(hung, "SIGTERM");
});

test("a killed worker's task runs elsewhere within 2 s, where its grace is 0", async () => {
  const doomed = await world.startWorker({ reconnectGrace: 0 });
  const { id } = await startBlocking(60_000);
  await world.startWorker({ name: "rescuer" });
  const killedAt = Date.now();
  await world.stopWorker(doomed, "SIGKILL");
  const { againAt } = await rescued(id);
  expect(againAt - killedAt).toBeLessThan(2_000);
});

test("a killed worker's task runs elsewhere within 7 s, with the default grace", async () => {
  const doomed = await world.startWorker();
  const { id } = await startBlocking(60_000);
  await world.startWorker({ name: "rescuer" });
  const killedAt = Date.now();
  await world.stopWorker(doomed, "SIGKILL");
  const { againAt } = await rescued(id);
  expect(againAt - killedAt).toBeLessThan(7_000);
});
