/** Shards of a worker that divides its slots among them: what each may use, and what more it would. */
import { beforeEach, expect, test } from "vitest";
import { shardName } from "../../durable-objects/dispatcher/shard-name.ts";
import type { TaskFrame } from "../../protocol/session.ts";
import { startRow, workflowToStart } from "../../workers/definitions/start-row.ts";
import { tryToStart } from "../../workers/shard-calls.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

let world: World;

useVirtualTime();

const ACTIONS = ["job:only"];

beforeEach(async () => {
  world = await createWorld();
  await world.sql("update v1.tenant set shards = 2 where id = $1", [world.tenant]);
  await world.register({ name: "job", steps: [{ name: "only" }] });
});

/** Starts runs at a shard of the test's choice; their ids. */
async function startAt(shard: number, count: number, workflow = "job"): Promise<string[]> {
  const { env, tenant } = world;
  const started = await tryToStart(
    env,
    tenant,
    (definitions) => {
      const known = workflowToStart(definitions, workflow);
      const given = { i: null, m: {} };
      const runs = Array.from({ length: count }, () => startRow(definitions, known, given));
      return { events: [], runs, bytes: 0 };
    },
    async (_env, _tenant, _shard, call) =>
      await call(env.DISPATCHER.getByName(shardName({ tenant, shard }))),
  );
  if (started.kind !== "started") throw new Error(`Not started: ${started.kind}`);
  return started.call.runs.map(({ id }) => id);
}

/** The worker's sockets to both shards, with so many of its slots each. */
async function connect(slots: number[], of: number): Promise<[FakeWorker, FakeWorker]> {
  const [first = 0, second = 0] = slots;
  return [
    await world.connectWorker({ actions: ACTIONS, slots: first, of }, 0),
    await world.connectWorker({ actions: ACTIONS, slots: second, of }, 1),
  ];
}

const typesOf = (worker: FakeWorker): string[] => worker.unread.map(({ type }) => type);

async function complete(worker: FakeWorker, task: TaskFrame): Promise<void> {
  worker.complete(task);
  await worker.receive("recorded", { task: task.task });
}

test("a credit moves from one shard to another, and no task comes beyond it", async () => {
  const [first, second] = await connect([2, 2], 4);
  await startAt(1, 5);
  await startAt(0, 1);
  expect(await second.receiveTasks(2)).toHaveLength(2);
  await second.receive("wanted", { slots: 3, least: 1 });
  const task = await first.receiveTask({ shard: 0 });

  first.say({ type: "slots", slots: 1, of: 4 });
  await first.receive("slots", { slots: 1 });
  await startAt(0, 1);
  await first.receive("wanted", { slots: 1, least: 1 });
  second.say({ type: "slots", slots: 3, of: 4 });
  await second.receive("slots", { slots: 3 });
  await second.receiveTask({ shard: 1 });
  expect((await first.unreadWhenQuiet()).map(({ type }) => type)).toEqual([]);
  await complete(first, task);
  await first.receiveTask({ shard: 0 });
  await first.receive("wanted", { slots: 0, least: 0 });
});

test("the answer to a credit comes before the tasks that are placed under it", async () => {
  const [, second] = await connect([4, 0], 4);
  await startAt(1, 3);
  await second.receive("wanted", { slots: 3, least: 1 });
  second.say({ type: "slots", slots: 2, of: 4 });
  await second.unreadWhenQuiet();
  expect(typesOf(second)).toEqual(["slots", "task", "task", "wanted"]);
});

test("a shard that wants more says so when it has doubled or halved, and not each time", async () => {
  const [, second] = await connect([4, 0], 4);
  const wanted: number[] = [];
  for (let count = 1; count <= 9; count++) {
    await startAt(1, 1);
    for (const frame of await second.unreadWhenQuiet()) {
      if (frame.type === "wanted") wanted.push((await second.receive("wanted")).slots);
    }
  }
  expect(wanted).toEqual([1, 2, 4, 8]);
});

test("who divides nothing hears of no wants", async () => {
  const worker = await world.connectWorker({ actions: ACTIONS, slots: 1 });
  const alone = await world.connectWorker({ actions: ACTIONS, slots: 2, of: 2 });
  await startAt(0, 9);
  await worker.receiveTask();
  await alone.receiveTasks(2);
  expect((await worker.unreadWhenQuiet()).map(({ type }) => type)).toEqual([]);
  expect((await alone.unreadWhenQuiet()).map(({ type }) => type)).toEqual([]);
});

test("slots that were all given are asked for no more when the work is done", async () => {
  const [, second] = await connect([4, 0], 4);
  await startAt(1, 5);
  await second.receive("wanted", { slots: 5 });
  second.say({ type: "slots", slots: 4, of: 4 });
  const [task] = await second.receiveTasks(4);
  await second.receive("wanted", { slots: 1 });
  if (task) await complete(second, task);
  await second.receiveTask();
  await second.receive("wanted", { slots: 0 });
});

test("only what the worker may have is wanted of it, and what the first task needs", async () => {
  await world.register({
    name: "choosy",
    steps: [
      { name: "gpu", labels: { gpu: { value: "yes", isRequired: true } } },
      { name: "large", slots: 3 },
      { name: "huge", slots: 9 },
    ],
  });
  const actions = ["choosy:gpu", "choosy:large", "choosy:huge"];
  const plain = await world.connectWorker({ actions, slots: 0, of: 4 });
  const gpu = await world.connectWorker({ actions, slots: 0, of: 4, labels: { gpu: "yes" } });
  await startAt(0, 1, "choosy");
  await plain.receive("wanted", { slots: 3, least: 3 });
  await gpu.receive("wanted", { slots: 4 });
  plain.say({ type: "labels", labels: { gpu: "yes" } });
  await plain.receive("wanted", { slots: 4, least: 1 });
  plain.say({ type: "pause" });
  await plain.receive("wanted", { slots: 0 });
  plain.say({ type: "resume" });
  await plain.receive("wanted", { slots: 4 });
});

test("what was said of credits and wants outlasts the shard's sleep, and is put right after it", async () => {
  const worker = await world.connectWorker({ actions: ACTIONS, slots: 3, of: 4 });
  worker.say({ type: "slots", slots: 1, of: 4 });
  await worker.receive("slots");
  const runs = await startAt(0, 3);
  const task = await worker.receiveTask();
  await worker.receive("wanted", { slots: 2 });
  await world.evictShard();
  await complete(worker, task);
  await worker.receiveTask();
  await worker.unreadWhenQuiet();
  expect(typesOf(worker).filter((type) => type === "task")).toEqual([]); // one slot, as it was told
  for (const run of runs) await world.call("POST", `/runs/${run}/cancel`);
  await worker.unreadWhenQuiet();
  const wanted = worker.unread.flatMap((frame) => (frame.type === "wanted" ? [frame.slots] : []));
  expect(wanted.at(-1)).toBe(0);
});

test("a new socket begins with what hello says of slots, and nothing is wanted until it is said", async () => {
  const worker = await world.connectWorker({ actions: ACTIONS, slots: 0, of: 4 });
  await startAt(0, 2);
  await worker.receive("wanted", { slots: 2 });
  worker.vanish();
  await world.settled();
  const session = worker.welcome?.session ?? "";
  const back = await world.connectWorker({ actions: ACTIONS, slots: 0, of: 4, session });
  await back.receive("wanted", { slots: 2 });
  const again = await world.connectWorker({ actions: ACTIONS, slots: 4, session });
  await again.receiveTasks(2);
  expect((await again.unreadWhenQuiet()).map(({ type }) => type)).toEqual([]);
});

test("an attempt that wants to go on is wanted for, and goes on when there is room for it", async () => {
  await world.register({ name: "parent", steps: [{ name: "only", slots: 2 }] });
  const worker = await world.connectWorker({ actions: ["parent:only"], slots: 2, of: 4 });
  await startAt(0, 1, "parent");
  const { task, attempt } = await worker.receiveTask();
  worker.say({ type: "waiting", task, attempt }, { type: "slots", slots: 1, of: 4 });
  await worker.receive("slots");
  worker.say({ type: "return", task, attempt, wait: 1 });
  await worker.receive("wanted", { slots: 2, least: 2 });
  worker.say({ type: "slots", slots: 0, of: 4 });
  await worker.unreadWhenQuiet();
  expect(typesOf(worker)).toEqual(["slots"]); // not alone, as if there were no other shard
  worker.say({ type: "slots", slots: 2, of: 4 });
  await worker.receive("returned", { task, wait: 1 });
  await worker.receive("wanted", { slots: 0 });
});

test("what is no credit is refused", async () => {
  for (const frame of [
    { type: "slots", slots: -1, of: 4 },
    { type: "slots", slots: 1 },
    { type: "slots", slots: 1.5, of: 4 },
    { type: "slots", slots: 10_001, of: 10_001 },
  ]) {
    const worker = await world.connectWorker({ actions: ACTIONS });
    worker.sayText(JSON.stringify({ v: 1, frames: [frame] }));
    await worker.receive("error", { code: "invalid_frame" });
  }
});
