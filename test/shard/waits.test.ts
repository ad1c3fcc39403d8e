/**
 * Handlers that wait for children under limits: what is their attempt's is another's meanwhile and theirs
 * again before they go on; what is their run's stays with it, and no child may need it.
 */
import { expect, test } from "vitest";
import type { LimitUse, Why } from "../../protocol/limit-bodies.ts";
import type { TaskFrame } from "../../protocol/session.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

useVirtualTime();

const ACTIONS = ["parent:only", "child:only"];
const BY_CUSTOMER = { limit: "shared", key: "input.customer" };

interface Limits {
  ofStep?: LimitUse[];
  ofRun?: LimitUse[];
  ofChild?: LimitUse[];
}

async function begin({ ofStep, ofRun, ofChild }: Limits): Promise<World> {
  const world = await createWorld();
  await world.call("PUT", "/limits/shared", { concurrency: 1 });
  await world.register({
    name: "parent",
    ...(ofRun && { limits: ofRun }),
    steps: [{ name: "only", ...(ofStep && { limits: ofStep }) }],
  });
  const steps = [{ name: "only" }];
  await world.register({ name: "child", steps, ...(ofChild && { limits: ofChild }) });
  return world;
}

/** Of two runs the first has waited and wants to go on; the second has what it had. */
async function beginReturn(
  limits: Limits,
  slots: number,
): Promise<{ world: World; worker: FakeWorker; first: TaskFrame; second: TaskFrame }> {
  const world = await begin(limits);
  const worker = await world.connectWorker({ actions: ACTIONS, slots });
  await world.startRuns("parent", [{ customer: "a" }, { customer: "a" }]);
  const first = await worker.receiveTask();
  ask(worker, "waiting", first);
  const second = await worker.receiveTask();
  ask(worker, "return", first);
  return { world, worker, first, second };
}

async function spawnOne(
  worker: FakeWorker,
  { task, attempt }: TaskFrame,
  isDetached = false,
): Promise<string> {
  const input = { customer: "a" };
  const child = { key: "one", workflow: "child", input, metadata: {}, isDetached };
  worker.say({ type: "spawn", task, attempt, children: [child] });
  const { run = "" } = await worker.receive("spawned");
  return run;
}

function ask(worker: FakeWorker, type: "waiting" | "return", { task, attempt }: TaskFrame): void {
  worker.say(type === "return" ? { type, task, attempt, wait: 1 } : { type, task, attempt });
}

async function whyOf(world: World, { task }: TaskFrame): Promise<Why> {
  const { body } = await world.call<Why>("GET", `/tasks/${task}/why`);
  return body;
}

async function resume(
  world: World,
  { welcome }: FakeWorker,
  slots: number,
  ...tasks: TaskFrame[]
): Promise<FakeWorker> {
  const back = await world.openSocket();
  const running = tasks.map(({ task, attempt }) => ({ task, attempt }));
  await back.hello({ actions: ACTIONS, slots, session: welcome?.session ?? "", running });
  return back;
}

test("a handler that waits gives back its step's permit, and goes on once it has it again", async () => {
  const world = await begin({ ofStep: [BY_CUSTOMER] });
  const worker = await world.connectWorker({ actions: ACTIONS, slots: 5 });
  await world.startRuns("parent", [{ customer: "a" }, { customer: "a" }]);
  const first = await worker.receiveTask();
  const run = await spawnOne(worker, first);
  const ofChild = await worker.receiveTask({ run });
  expect(await whyOf(world, first)).toMatchObject({ reason: { kind: "running" } });
  ask(worker, "waiting", first);
  const second = await worker.receiveTask(); // which needs the same permit
  expect(await whyOf(world, first)).toMatchObject({
    state: "running",
    reason: { kind: "children" },
  });
  worker.complete(ofChild);
  await worker.receive("child");
  ask(worker, "return", first);
  expect(await worker.unreadWhenQuiet()).toMatchObject([{ type: "recorded" }]);
  const needs = { of: "limit", limit: "shared", key: "a", held: 1, bound: 1 };
  expect(await whyOf(world, first)).toMatchObject({ reason: { kind: "returning", needs } });

  await world.evictShard();
  await world.startRuns("parent", [{ customer: "a" }]); // comes later, and after it
  worker.complete(second);
  await worker.receive("returned", { task: first.task, wait: 1 });
  expect(await whyOf(world, first)).toMatchObject({ reason: { kind: "running" } });
  worker.complete(first);
  await worker.receiveTask();
});

test("who waits and who holds is known after a crash, and an answer that was lost is said again", async () => {
  const { world, worker, first, second } = await beginReturn({ ofStep: [BY_CUSTOMER] }, 5);
  await world.settled();

  await world.crashShard();
  await worker.closed;
  const back = await resume(world, worker, 5, first, second);
  ask(back, "return", first);
  expect(await back.unreadWhenQuiet()).toEqual([]);
  back.complete(second);
  await back.receive("returned", { task: first.task });

  await world.crashShard();
  await back.closed;
  const again = await resume(world, worker, 5, first);
  ask(again, "return", first);
  await again.receive("returned", { task: first.task, wait: 1 });
  await world.startRuns("parent", [{ customer: "a" }]);
  expect(await again.unreadWhenQuiet()).toEqual([]); // it is held again
});

test("a handler goes on in a slot: it waits while its worker has none, and comes before new tasks", async () => {
  const { world, worker, first, second } = await beginReturn({}, 1);
  await world.startRuns("parent", [{ customer: "a" }]);
  expect(await worker.unreadWhenQuiet()).toEqual([]);
  expect(await whyOf(world, first)).toMatchObject({
    reason: { kind: "returning", needs: { of: "slots" } },
  });
  worker.complete(second);
  await worker.receive("returned", { task: first.task });
  expect(await worker.unreadWhenQuiet()).toMatchObject([{ type: "recorded" }]);
  worker.complete(first);
  await worker.receiveTask();
});

test("an attempt that wanted to go on and was cancelled leaves its permit to others", async () => {
  const { world, worker, first, second } = await beginReturn({ ofStep: [BY_CUSTOMER] }, 5);
  await world.startRuns("parent", [{ customer: "a" }]);
  await world.call("POST", `/runs/${first.run}/cancel`);
  await worker.receive("cancel", { task: first.task });
  worker.say({ type: "released", task: first.task, attempt: 1 });
  worker.complete(second);
  await worker.receiveTask();
});

test("a child that needs what its parent's run holds fails with a clear error, and the parent hears it", async () => {
  const world = await begin({ ofRun: [BY_CUSTOMER], ofChild: [BY_CUSTOMER] });
  await world.call("PUT", "/limits/shared", { concurrency: 5 }); // though there is room
  const worker = await world.connectWorker({ actions: ACTIONS, slots: 5 });
  await world.startRuns("parent", [{ customer: "a" }]);
  const parent = await worker.receiveTask();
  const run = await spawnOne(worker, parent);
  const { error } = await worker.receive("child", { run, state: "failed" });
  expect(error).toMatchObject({ code: "limit_held_by_parent", step: "only" });
  expect(error?.message).toContain(`The run ${parent.run}, which this one is a child of`);
  expect(await world.readRun(run)).toMatchObject({ tasks: [{ attempts: [] }] });
});

test("a detached child waits for what its parent's run holds until that has ended", async () => {
  const world = await begin({ ofRun: [BY_CUSTOMER], ofChild: [BY_CUSTOMER] });
  const worker = await world.connectWorker({ actions: ACTIONS, slots: 5 });
  await world.startRuns("parent", [{ customer: "a" }]);
  const parent = await worker.receiveTask();
  const run = await spawnOne(worker, parent, true);
  expect(await worker.unreadWhenQuiet()).toEqual([]);
  worker.complete(parent);
  await worker.receiveTask({ run });
});

test("a child of a child may not need what the first run holds, either", async () => {
  const world = await begin({ ofRun: [BY_CUSTOMER], ofChild: [BY_CUSTOMER] });
  await world.register({ name: "middle", steps: [{ name: "only" }] });
  const worker = await world.connectWorker({ actions: [...ACTIONS, "middle:only"], slots: 5 });
  await world.startRuns("parent", [{ customer: "a" }]);
  const { task, attempt } = await worker.receiveTask();
  const child = { key: "middle", workflow: "middle", input: null, metadata: {} };
  worker.say({ type: "spawn", task, attempt, children: [child] });
  await worker.receive("spawned");
  const middle = await worker.receiveTask({ workflow: "middle" });
  const run = await spawnOne(worker, middle);
  await worker.receive("child", {
    run,
    error: expect.objectContaining({ code: "limit_held_by_parent" }),
  });
});

test("a workflow's rate is paid by its run's first attempt, and can be settled and paused by each", async () => {
  const world = await createWorld();
  const rate = { rate: [{ units: 100, perMs: 60_000 }], units: 60 };
  await world.register({
    name: "pair",
    limits: [rate],
    steps: [{ name: "a" }, { name: "b", parents: ["a"] }],
  });
  const worker = await world.connectWorker({ actions: ["pair:a", "pair:b"], slots: 5 });
  const [first, second] = await world.startRuns("pair", [1, 2]);
  const a = await worker.receiveTask({ run: first });
  expect(a.limits).toEqual([{ limit: "pair#1", key: "", units: 60 }]);
  worker.say({ type: "settle", task: a.task, attempt: 1, limit: "pair#1", used: 40 });
  const other = await worker.receiveTask({ run: second }); // 60 are left for it
  worker.complete(a);
  const b = await worker.receiveTask({ run: first, step: "b" });
  expect(b.limits).toEqual([{ limit: "pair#1", key: "", units: 0 }]);
  worker.say({ type: "settle", task: b.task, attempt: 1, limit: "pair#1", used: 30 });
  worker.complete(b);
  worker.complete(other);
  worker.complete(await worker.receiveTask({ run: second, step: "b" }));
  const [third] = await world.startRuns("pair", [3]);
  await world.settled();
  // It owes 30, and needs 60: 54 seconds.
  await world.advance(53_999);
  await world.ping(worker);
  expect((await worker.unreadWhenQuiet()).filter(({ type }) => type === "task")).toEqual([]);
  await world.advance(1);
  await worker.receiveTask({ run: third });
});
