/** Limits at every level: what starts, what waits and for how long, and changes while tasks wait. */
import { expect, test } from "vitest";
import type { LimitState, PutLimit, Why } from "../../protocol/limit-bodies.ts";
import type { TaskFrame } from "../../protocol/session.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { begin, BY_CUSTOMER, connect, runsOf, start } from "./limited-job.ts";

useVirtualTime();

async function put(world: World, name: string, limit: PutLimit): Promise<void> {
  const { status, body } = await world.call("PUT", `/limits/${name}`, limit);
  expect([200, 201], JSON.stringify(body)).toContain(status);
}

async function whyOf(world: World, run: string): Promise<Why> {
  const [task] = (await world.readRun(run)).tasks;
  const { status, body } = await world.call<Why>("GET", `/tasks/${task?.id}/why`);
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

test("a key has no more tasks at once than its limit, whatever other keys have", async () => {
  const world = await begin([{ ...BY_CUSTOMER, concurrency: 2 }]);
  const worker = await connect(world);
  const [a1, a2, a3, b1] = await start(world, "a", "a", "a", "b");
  const tasks = await worker.receiveTasks(3);
  expect(new Set(tasks.map(({ run }) => run))).toEqual(new Set([a1, a2, b1]));
  expect(await runsOf(worker)).toEqual([]);
  worker.complete(tasks.find(({ run }) => run === a1) as TaskFrame);
  expect((await worker.receiveTask()).run).toBe(a3);
});

test("a task that waits for one limit holds none of the others", async () => {
  const world = await begin([
    { key: "input.region", fallbackKey: "any", concurrency: 1 },
    { ...BY_CUSTOMER, concurrency: 1 },
  ]);
  const worker = await connect(world);
  const region = (customer: string, name: string) => ({ customer, region: name });
  const [first] = await world.startRuns("job", [region("a", "north")]);
  const task = await worker.receiveTask({ run: first });
  // Waits for its customer; its region stays free for another.
  await world.startRuns("job", [region("a", "south")]);
  const [other] = await world.startRuns("job", [region("b", "south")]);
  expect(await runsOf(worker)).toEqual([other]);
  worker.complete(task);
  await worker.receive("recorded");
});

test("a stored limit is shared by workflows, and a raised one dispatches at once", async () => {
  const world = await createWorld();
  await put(world, "shared", { concurrency: 1 });
  for (const name of ["one", "two"]) {
    await world.register({ name, steps: [{ name: "only", limits: [{ limit: "shared" }] }] });
  }
  const worker = await world.connectWorker({ actions: ["one:only", "two:only"], slots: 10 });
  await world.startRun({ workflow: "one" });
  await world.startRun({ workflow: "two" });
  const { id } = await world.startRun({ workflow: "two" });
  await worker.receiveTask();
  expect(await runsOf(worker)).toEqual([]);
  expect(await whyOf(world, id)).toMatchObject({
    reason: { kind: "concurrency", limit: "shared", key: "", held: 1, bound: 1 },
  });
  await put(world, "shared", { concurrency: 3 });
  expect(await worker.receiveTasks(2)).toHaveLength(2);

  await put(world, "shared", { concurrency: 1 }); // what runs finishes
  const { body } = await world.call<LimitState>("GET", "/limits/shared");
  expect(body).toMatchObject({ workflows: ["one", "two"], keys: [{ held: 3, limit: 1 }] });
});

test("a change that is answered is in force, also while the shard sleeps", async () => {
  const world = await createWorld();
  await put(world, "shared", { concurrency: 5 });
  await world.register({ name: "job", steps: [{ name: "only", limits: [{ limit: "shared" }] }] });
  const worker = await connect(world);
  await start(world, "a");
  await worker.receiveTask();
  await put(world, "shared", { concurrency: 1 });
  const { body } = await world.call<LimitState>("GET", "/limits/shared");
  expect(body.keys).toMatchObject([{ held: 1, limit: 1 }]);
  await world.evictShard();
  await put(world, "shared", { concurrency: 2 });
  const again = await world.call<LimitState>("GET", "/limits/shared");
  expect(again.body.keys).toMatchObject([{ held: 1, limit: 2 }]);
});

test("an override gives some keys another bound", async () => {
  const world = await createWorld();
  await put(world, "plan", {
    concurrency: 1,
    key: "input.customer",
    overrides: [{ key: "enterprise-*", concurrency: 3 }],
  });
  await world.register({ name: "job", steps: [{ name: "only", limits: [{ limit: "plan" }] }] });
  const worker = await connect(world);
  await start(world, "small", "small", "enterprise-x", "enterprise-x", "enterprise-x");
  expect(await runsOf(worker)).toHaveLength(4);
});

test("a limit on an action or on the tenant binds tasks that don't name it", async () => {
  const world = await begin([]);
  await put(world, "everything", { concurrency: 2, appliesTo: { tenant: true } });
  const worker = await connect(world);
  const [first] = await start(world, "a", "b", "c");
  const [task] = await worker.receiveTasks(2);
  expect(await runsOf(worker)).toEqual([]);
  await put(world, "action", { concurrency: 1, appliesTo: { action: "job:only" } });
  expect(task?.run).toBe(first);
  worker.complete(task as TaskFrame); // the other began before there was such a limit
  expect(await runsOf(worker)).toHaveLength(1);
});

test("a run holds its workflow's limit from its first task to its end", async () => {
  const world = await createWorld();
  await world.register({
    name: "pair",
    limits: [{ concurrency: 1 }],
    steps: [{ name: "a" }, { name: "b", parents: ["a"] }],
  });
  const worker = await world.connectWorker({ actions: ["pair:a", "pair:b"], slots: 10 });
  const [first, second] = await world.startRuns("pair", [1, 2]);
  worker.complete(await worker.receiveTask({ run: first, step: "a" }));
  const last = await worker.receiveTask({ run: first, step: "b" });
  expect(await runsOf(worker)).toEqual([]);
  await world.evictShard();
  worker.complete(last);
  await worker.receiveTask({ run: second, step: "a" });
});

test("a run that holds its workflow's limit is tried again while others wait for it", async () => {
  const world = await createWorld();
  const backoff = { initialMs: 1_000, jitter: 0 };
  const steps = [{ name: "only", retries: 1, backoff }];
  await world.register({ name: "job", limits: [{ concurrency: 1 }], steps });
  const worker = await connect(world);
  const [first = "", second = ""] = await start(world, "a", "b", "c");
  worker.fail(await worker.receiveTask({ run: first }), "no");
  await worker.receive("recorded");
  await world.advance(1_000);
  const again = await worker.receiveTask({ run: first });
  expect(again.attempt).toBe(2);
  worker.complete(again);
  await worker.receiveTask({ run: second });
});

test("a run's later steps don't stand behind first steps that wait for it to end", async () => {
  const world = await createWorld();
  const action = "shared";
  const steps = [
    { name: "a", action },
    { name: "b", action, parents: ["a"] },
  ];
  await world.register({ name: "job", limits: [{ concurrency: 1 }], steps });
  const worker = await world.connectWorker({ actions: [action], slots: 9 });
  const [first = "", second = ""] = await start(world, "a", "b", "c");
  worker.complete(await worker.receiveTask({ run: first, step: "a" }));
  worker.complete(await worker.receiveTask({ run: first, step: "b" }));
  await worker.receiveTask({ run: second, step: "a" });
});

test("the strategy cancel-newest cancels the run that finds its limit full", async () => {
  const world = await begin([], [{ ...BY_CUSTOMER, concurrency: 1, strategy: "cancel-newest" }]);
  const worker = await connect(world);
  const [first, second] = await start(world, "a", "a", "b");
  const tasks = await worker.receiveTasks(2);
  expect(tasks.map(({ run }) => run)).toContain(first);
  await world.settled();
  expect(await world.readRun(second ?? "")).toMatchObject({
    state: "cancelled",
    error: { code: "limit_full" },
  });
});

test("the strategy cancel-in-progress cancels the oldest holder, and the newest takes its place", async () => {
  const limit = { ...BY_CUSTOMER, concurrency: 1, strategy: "cancel-in-progress" as const };
  const world = await begin([], [limit]);
  const worker = await connect(world);
  const [first] = await start(world, "a");
  const task = await worker.receiveTask({ run: first });
  const [second] = await start(world, "a");
  await worker.receive("cancel", { task: task.task, reason: "cancelled" });
  expect(await runsOf(worker)).toEqual([]); // the handler of the first still runs
  worker.release(task);
  await worker.receiveTask({ run: second });
  expect(await world.readRun(first ?? "")).toMatchObject({ error: { code: "limit_full" } });
});

test("a task waits for units, holds nothing meanwhile, and starts when there are enough", async () => {
  const world = await begin([
    { rate: [{ units: 2, perMs: 10_000 }], units: "input.cost", key: "input.customer" },
  ]);
  const worker = await connect(world, 1);
  const [first] = await world.startRuns("job", [{ customer: "a", cost: 2 }]);
  const task = await worker.receiveTask({ run: first });
  expect(task.limits).toEqual([{ limit: "job:only#1", key: "a", units: 2 }]);
  worker.complete(task);
  const [second] = await world.startRuns("job", [{ customer: "a", cost: 1 }]);
  expect(await whyOf(world, second ?? "")).toMatchObject({
    reason: { kind: "rate", limit: "job:only#1", key: "a", units: 1, isPaused: false },
  });
  const [other] = await world.startRuns("job", [{ customer: "b", cost: 1 }]);
  worker.complete(await worker.receiveTask({ run: other })); // the only slot was free
  await world.evictShard();
  await world.advance(4_999);
  expect(await runsOf(worker)).toEqual([]);
  await world.advance(1);
  await worker.receiveTask({ run: second });
});

test("what a task has really used is settled, and frees the rest for others", async () => {
  const world = await begin([{ rate: [{ units: 10, perMs: 600_000 }], units: 10 }]);
  const worker = await connect(world);
  const [, second] = await world.startRuns("job", [1, 2]);
  const { task, attempt } = await worker.receiveTask();
  worker.say({ type: "settle", task, attempt, limit: "job:only#1", used: 0 });
  await worker.receiveTask({ run: second });
});

test("a key's share is of what its tasks have used, not of what was reserved for them", async () => {
  const rate = [{ units: 1_000, perMs: 1_000 }];
  const world = await begin([{ rate, units: "input.units" }, BY_CUSTOMER]);
  const worker = await connect(world, 1);
  const careless = { customer: "careless", units: 10 };
  const careful = { customer: "careful", units: 4 };
  await world.startRuns("job", [careless, careful, careless, careful, careless, careful]);
  const order: string[] = [];
  while (order.length < 4) {
    const received = await worker.receiveTask();
    const { task, attempt } = received;
    const { customer } = received.input as { customer: string };
    order.push(customer);
    const used = customer === "careless" ? 1 : 4;
    worker.say({ type: "settle", task, attempt, limit: "job:only#1", used });
    worker.complete(received);
  }
  expect(order).toEqual(["careless", "careful", "careless", "careless"]);
});

test("a key can be paused by an attempt that has settled it", async () => {
  const world = await begin([{ rate: [{ units: 100, perMs: 1_000 }] }]);
  const worker = await connect(world);
  await start(world, "a");
  const { task, attempt, shard } = await worker.receiveTask();
  const times = { startedAt: Date.now(), finishedAt: Date.now() };
  worker.say(
    { type: "settle", task, attempt, limit: "job:only#1", used: 0 },
    { type: "rate_limited", task, attempt, shard, retryAfterMs: 20_000, ...times },
  );
  await worker.receive("recorded");
  await start(world, "b");
  expect(await runsOf(worker)).toEqual([]);
  await world.advance(20_000);
  await worker.receiveTask();
  expect(await runsOf(worker)).toEqual([]); // nothing has gathered meanwhile
  await world.advance(10);
  await worker.receiveTask();
});

test("one worker's 429 pauses the key for all, and spends no retry", async () => {
  const world = await begin([{ ...BY_CUSTOMER, rate: [{ units: 100, perMs: 1_000 }] }]);
  const worker = await connect(world);
  const [first] = await start(world, "a");
  const { task, attempt, shard } = await worker.receiveTask({ run: first });
  const now = Date.now();
  worker.say({
    type: "rate_limited",
    task,
    attempt,
    shard,
    retryAfterMs: 20_000,
    startedAt: now,
    finishedAt: now,
  });
  await worker.receive("recorded");
  const [second, other] = await start(world, "a", "b");
  expect(await runsOf(worker)).toEqual([other]);
  expect(await whyOf(world, second ?? "")).toMatchObject({
    reason: { kind: "rate", isPaused: true },
  });
  await world.advance(20_000);
  await worker.receiveTask({ run: other });
  await worker.receiveTask({ run: first, attempt: 2 });
  await world.advance(10);
  await worker.receiveTask({ run: second });
  const run = await world.readRun(first ?? "");
  expect(run.tasks[0]?.attempts).toMatchObject([
    { outcome: "put_back", error: { code: "rate_limited" } },
  ]);
});

test("a key that can't be evaluated fails the run, unless it has a fallback", async () => {
  const world = await begin([{ ...BY_CUSTOMER, concurrency: 1 }]);
  const worker = await connect(world);
  const { id } = await world.startRun({ workflow: "job", input: {} });
  await world.settled();
  expect(await world.readRun(id)).toMatchObject({
    state: "failed",
    tasks: [{ error: { code: "invalid_key" }, attempts: [] }],
  });
  await world.register({
    name: "job",
    steps: [{ name: "only", limits: [{ ...BY_CUSTOMER, concurrency: 1, fallbackKey: "none" }] }],
  });
  const { id: other } = await world.startRun({ workflow: "job", input: {} });
  await worker.receiveTask({ run: other });
});

test("the more urgent comes first, and a worker's required labels are met", async () => {
  const world = await createWorld();
  const labels = { memory: { value: 8, comparator: ">=" as const, isRequired: true } };
  await world.register({ name: "job", steps: [{ name: "only", labels }] });
  const small = await world.connectWorker({ actions: ["job:only"], labels: { memory: 4 } });
  const ids: string[] = [];
  for (const priority of [1, 2, 3]) {
    ids.push((await world.startRun({ workflow: "job", priority })).id);
  }
  expect(await runsOf(small)).toEqual([]);
  expect(await whyOf(world, ids[0] ?? "")).toMatchObject({ reason: { kind: "no_worker" } });
  const large = await world.connectWorker({
    actions: ["job:only"],
    labels: { memory: 8 },
    slots: 1,
  });
  for (const id of ids.toReversed()) large.complete(await large.receiveTask({ run: id }));
  expect(await runsOf(small)).toEqual([]);
});
