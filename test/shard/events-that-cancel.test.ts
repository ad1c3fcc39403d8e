/** Events that cancel runs: which, wherever their tasks are, and whatever dies on the way. */
import { expect, test } from "vitest";
import { MATCH_PAGE, MAX_MATCHING } from "../../durable-objects/dispatcher/limits.ts";
import type { CancelOn, PublishedEvent, PublishEvent } from "../../protocol/http.ts";
import type { Json } from "../../protocol/json.ts";
import { traffic } from "../support/traffic.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

useVirtualTime();

const BY_ID: CancelOn = { event: "order:cancelled", if: "event.payload.id == input.id" };
const ORDER = { name: "order", steps: [{ name: "pay" }, { name: "ship", parents: ["pay"] }] };
const ACTIONS = ["order:pay", "order:ship"];

async function begin(cancelOn: CancelOn[] = [BY_ID], more: object = {}): Promise<World> {
  const world = await createWorld();
  await world.register({ ...ORDER, cancelOn, ...more });
  return world;
}

async function publish(world: World, ...events: PublishEvent[]): Promise<PublishedEvent[]> {
  const { status, body } = await world.call<{ events: PublishedEvent[] }>("POST", "/events/bulk", {
    events,
  });
  expect(status, JSON.stringify(body)).toBe(201);
  return body.events;
}

/** Publishes it, and waits until all that follows has happened. */
async function cancelOrder(world: World, id: Json): Promise<string> {
  const [event] = await publish(world, { key: "order:cancelled", payload: { id } });
  await world.settled();
  return event?.id ?? "";
}

async function stateOf(world: World, run: string): Promise<string> {
  return (await world.readRun(run)).state;
}

/** How many runs are in which state, and that no timer is left. */
async function expectStates(world: World, expected: Record<string, number>): Promise<void> {
  const rows = await world.sql(
    "select state, count(*)::integer as runs from v1.workflow_run where tenant_id = $1 group by 1",
    [world.tenant],
  );
  expect(Object.fromEntries(rows.map(({ state, runs }) => [state, runs]))).toEqual(expected);
  const timers = "select kind from v1.timer where tenant_id = $1 and due_at < 'infinity'";
  expect(await world.sql(timers, [world.tenant])).toEqual([]);
}

test("the run that an event means is over, its worker is told, and it says which event it was", async () => {
  const world = await begin();
  const worker = await world.connectWorker({ actions: ACTIONS });
  const [meant = "", other = ""] = await world.startRuns("order", [{ id: 7 }, { id: 8 }]);
  const tasks = await worker.receiveTasks(2);
  const event = await cancelOrder(world, 7);
  const task = tasks.find(({ run }) => run === meant)?.task;
  await worker.receive("cancel", { task, attempt: 1, reason: "cancelled" });
  const message = `The run was cancelled by the event order:cancelled (${event}).`;
  const error = { code: "cancelled", name: "Cancelled", message };
  expect(await world.readRun(meant)).toMatchObject({
    state: "cancelled",
    error,
    tasks: [
      { state: "cancelled", error },
      { state: "cancelled", error: null },
    ],
  });
  expect(await stateOf(world, other)).not.toBe("cancelled");
  await expectStates(world, { cancelled: 1, queued: 1 });
});

test("runs are cancelled wherever they stand: queued, in backoff, between steps, unwinding, held", async () => {
  const steps = [
    { name: "pay", retries: 1, backoff: { initialMs: 60_000, jitter: 0 }, compensate: {} },
    { name: "ship", parents: ["pay"] },
  ];
  const world = await begin([BY_ID], { steps });
  const worker = await world.connectWorker({ actions: [...ACTIONS, "order:pay:compensate"] });
  const asleep = await world.startRun({ workflow: "order", input: { id: 1, n: 1 } });
  worker.fail(await worker.receiveTask({ run: asleep.id }), "not now");
  const between = await world.startRun({ workflow: "order", input: { id: 1, n: 2 } });
  worker.complete(await worker.receiveTask({ run: between.id }));
  await worker.receiveTask({ step: "ship" });
  const unwinding = await world.startRun({ workflow: "order", input: { id: 1, n: 3 } });
  worker.complete(await worker.receiveTask({ run: unwinding.id }));
  worker.fail(await worker.receiveTask({ step: "ship" }), "never");
  await worker.receiveTask({ step: "pay:compensate" });
  worker.vanish();
  await world.settled();
  await world.startRun({ workflow: "order", input: { id: 1, n: 4 } });
  await world.call("PUT", "/workflows/order/pause", { mode: "hold" });
  await world.startRun({ workflow: "order", input: { id: 1, n: 5 } });
  await cancelOrder(world, 1);
  await expectStates(world, { cancelled: 5 });
});

test("neither a run that starts after the event is cancelled, nor one that the event starts", async () => {
  const world = await begin([BY_ID], { events: ["order:cancelled"] });
  const [before = ""] = await world.startRuns("order", [{ id: 7 }]);
  const [event] = await publish(world, { key: "order:cancelled", payload: { id: 7 } });
  const [after = ""] = await world.startRuns("order", [{ id: 7 }]);
  await world.settled();
  const [own = ""] = event?.runs ?? [];
  const states = await Promise.all([before, own, after].map((run) => stateOf(world, run)));
  expect(states).toEqual(["cancelled", "queued", "queued"]);
});

test("events of one call count in their order: what the first starts the second cancels", async () => {
  const world = await begin([BY_ID], { events: ["order:created"] });
  const payload = { id: 7 };
  await publish(
    world,
    { key: "order:cancelled", payload },
    { key: "order:created", payload },
    { key: "order:cancelled", payload },
    { key: "order:created", payload },
  );
  await world.settled();
  await expectStates(world, { cancelled: 1, queued: 1 });
});

test("children go with the run that started them", async () => {
  const world = await begin();
  await world.register({ name: "part", steps: [{ name: "only" }] });
  const worker = await world.connectWorker({ actions: ACTIONS });
  await world.startRun({ workflow: "order", input: { id: 7 } });
  const { task, attempt } = await worker.receiveTask();
  const of = { workflow: "part", input: null, metadata: {} };
  const children = [
    { key: "bound", ...of },
    { key: "free", ...of, isDetached: true },
  ];
  worker.say({ type: "spawn", task, attempt, children });
  await worker.receive("spawned");
  await cancelOrder(world, 7);
  await expectStates(world, { cancelled: 2, queued: 1 });
});

test("a condition that is not met, or can't be evaluated, cancels nothing", async () => {
  const conditions = ["event.payload.n > input.n", "int(input.text) == 1 && event.payload.n == 5"];
  const world = await begin(conditions.map((condition) => ({ ...BY_ID, if: condition })));
  await world.startRuns("order", [{ n: 5, text: "x" }, { n: 3 }, { n: 9, text: "1" }, null]);
  await publish(world, { key: "order:cancelled", payload: { n: 5 } });
  await world.settled();
  await expectStates(world, { cancelled: 2, queued: 2 });
});

test("runs of a version that is active no more are cancelled as theirs says", async () => {
  const world = await begin();
  await world.startRuns("order", [{ id: 7 }]);
  await world.register(ORDER);
  await world.startRuns("order", [{ id: 7 }]);
  await cancelOrder(world, 7);
  await expectStates(world, { cancelled: 1, queued: 1 });
});

test("a thousand and more that an event may concern are looked at page by page", async () => {
  const world = await begin([
    { ...BY_ID, if: "input.n % 2 == 0 && event.key.startsWith('order')" },
  ]);
  const count = 20 * MATCH_PAGE + 4;
  for (let n = 0; n < count; n += count / 2) {
    await world.startRuns(
      "order",
      Array.from({ length: count / 2 }, (_, i) => ({ n: n + i })),
    );
  }
  await cancelOrder(world, 7);
  await expectStates(world, { cancelled: count / 2, queued: count / 2 });
  const pages = traffic.commitsOf(world.tenant).flatMap(({ matches }) => matches ?? []);
  expect(pages).toHaveLength(21);
});

test("more events than are looked at together have their turn one after the other", async () => {
  const world = await begin();
  const ids = Array.from({ length: 4 * MAX_MATCHING + 1 }, (_, id) => id);
  await world.startRuns(
    "order",
    [...ids, -1].map((id) => ({ id })),
  );
  await publish(world, ...ids.map((id) => ({ key: "order:cancelled", payload: { id } })));
  await world.settled();
  await expectStates(world, { cancelled: ids.length, queued: 1 });
  for (const { matches = [] } of traffic.commitsOf(world.tenant)) {
    expect(matches.length).toBeLessThanOrEqual(MAX_MATCHING);
  }
});

test("an event that nobody waits for costs no commit but its own", async () => {
  const world = await begin();
  await world.startRuns("order", [{ id: 7 }]);
  await cancelOrder(world, 8);
  expect(traffic.commitsOf(world.tenant)).toHaveLength(2);
});

test("a shard that dies with the event's commit in flight cancels once it wakes", async () => {
  const world = await begin();
  await world.startRuns("order", [{ id: 7 }]);
  await world.settled();
  traffic.loseAnswers(1);
  const published = cancelOrder(world, 7);
  await traffic.sent("commit", 2);
  await world.settled();
  expect(await world.sql("select kind from v1.timer where tenant_id = $1", [world.tenant])).toEqual(
    [{ kind: "match" }],
  );
  await world.crashShard();
  await published;
  await expectStates(world, { cancelled: 1 });
});

for (const landed of [true, false]) {
  const outcome = landed ? "landed" : "did not land";
  test(`a shard that dies while it cancels begins again, when the cancellation ${outcome}`, async () => {
    const world = await begin();
    const [first = ""] = await world.startRuns("order", [{ id: 7 }, { id: 7 }, { id: 8 }]);
    await world.settled();
    const lock = "select from v1.workflow_run where id = $1 for update";
    const held = await world.holdLock(lock, [first]);
    await publish(world, { key: "order:cancelled", payload: { id: 7 } });
    await expect.poll(() => held.countWaiting()).toBe(1);
    if (!landed) expect(await held.terminateWaiting()).toBe(1);
    await world.crashShard();
    await held.release();
    await world.shard.nudge();
    await world.settled();
    await expectStates(world, { cancelled: 2, queued: 1 });
  });
}

test("a shard whose memory and storage are lost is reminded of the event by the clock's nudge", async () => {
  const world = await begin();
  await world.startRuns("order", [{ id: 7 }]);
  const held = await world.holdLock("select from v1.workflow_run where tenant_id = $1 for update", [
    world.tenant,
  ]);
  await publish(world, { key: "order:cancelled", payload: { id: 7 } });
  await expect.poll(() => held.countWaiting()).toBe(1);
  await held.terminateWaiting();
  await world.forgetShard();
  await held.release();
  const [busy] = await world.sql("select v1.busy_shards() as busy");
  expect(busy?.["busy"]).toContainEqual({ tenant: world.tenant, shard: 0 });
  await world.shard.nudge();
  await world.settled();
  await expectStates(world, { cancelled: 1 });
});
