/** Schedules by real alarms in the platform's own runtime: also when it was away at their time. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { FlowWorld } from "./world.ts";
import { clocked } from "./workflows.ts";

let world: FlowWorld;

beforeAll(async () => {
  world = await FlowWorld.startOnMain();
  await world.startWorker();
});
afterAll(() => world?.stop());

test("a cron starts a run at its next tick, and says for which", async () => {
  const { schedules } = world.client;
  const file = world.newFile();
  const { id } = await schedules.create(clocked, { cron: "* * * * * *", input: { file } });
  const told = await world.read(file);
  await schedules.delete(id);
  const { items } = await world.client.runs.list({ scheduleId: id });
  const [first] = items.map(({ scheduledFor }) => scheduledFor).toReversed();
  expect(first).toBe(told);
  const ticks = new Set(items.map(({ scheduledFor }) => scheduledFor));
  expect(ticks.size).toBe(items.length);
});

test("a run at a moment at which the runtime was away starts when it is back, once", async () => {
  const { schedules } = world.client;
  const at = new Date(Date.now() + 1_000);
  const file = world.newFile();
  const { id } = await schedules.create(clocked, { at, input: { file } });
  await world.stack.workerd.restart();
  expect(await world.read(file)).toBe(at.toISOString());
  const { items } = await world.client.runs.list({ scheduleId: id });
  expect(items).toHaveLength(1);
  await world.client.runs.result(items[0]?.id ?? "");
  expect(await schedules.get(id)).toMatchObject({ lastRun: items[0]?.id, nextTicks: [] });
});

test("what a workflow declares is there once its worker is", async () => {
  const { items } = await world.client.schedules.list({ workflow: "clocked", kind: "cron" });
  expect(items).toMatchObject([{ name: "new year", isDeclared: true, timezone: "Europe/Berlin" }]);
  const started = await world.client.schedules.trigger(items[0]?.id ?? "");
  expect(await started.result()).toEqual({ tells: null });
});
