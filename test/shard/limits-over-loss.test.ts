/** Limits over sleep, crashes, lost memory and lost workers: held as long as they are, and no longer. */
import { expect, test } from "vitest";
import { traffic } from "../support/traffic.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";
import { begin, BY_CUSTOMER, connect, resume, runsOf, start } from "./limited-job.ts";

useVirtualTime();

test("permits are held over the shard's sleep, and over its crash", async () => {
  const world = await begin([{ ...BY_CUSTOMER, concurrency: 1 }]);
  const worker = await connect(world);
  await start(world, "a", "a");
  const first = await worker.receiveTask();
  await world.evictShard();
  await start(world, "a"); // wakes it
  expect(await runsOf(worker)).toEqual([]);
  worker.complete(first);
  const second = await worker.receiveTask();
  expect(await runsOf(worker)).toMatchObject([]);

  await world.crashShard();
  await worker.closed;
  const back = await resume(world, worker, second);
  await start(world, "a");
  expect(await runsOf(back)).toEqual([]);
  back.complete(second);
  await back.receiveTask();
  expect(await runsOf(back)).toEqual([]);
});

test("a vanished worker's permits come back, once", async () => {
  const world = await begin([{ ...BY_CUSTOMER, concurrency: 1 }]);
  const worker = await connect(world);
  const [first] = await start(world, "a", "a", "a");
  await worker.receiveTask();
  worker.vanish();
  const second = await connect(world);
  expect(await runsOf(second)).toEqual([]);
  await world.advance(6_000); // the grace of its reconnect
  const again = await second.receiveTask();
  expect(again).toMatchObject({ attempt: expect.any(Number) });
  expect(await runsOf(second)).toEqual([]);
  expect((await world.readRun(first ?? "")).state).not.toBe("failed");
});

test("a shard that has come to rest wakes for the units that a task waits for", async () => {
  const world = await begin([{ rate: [{ units: 1, perMs: 60_000 }] }]);
  const worker = await connect(world);
  const [, second] = await start(world, "a", "b");
  worker.complete(await worker.receiveTask());
  await worker.receive("recorded");
  await world.advance(20_000);
  await world.ping(worker);
  await world.evictShard();
  await world.advance(39_999);
  await world.ping(worker);
  expect(await runsOf(worker)).toEqual([]);
  await world.advance(1);
  await worker.receiveTask({ run: second });
});

test("a shard that has lost its memory gives nothing that is limited while anybody may still hold it", async () => {
  const world = await createWorld();
  const only = { name: "only", timeoutMs: 30_000, limits: [{ concurrency: 1 }] };
  await world.register({
    name: "job",
    steps: [only],
    limits: [{ ...BY_CUSTOMER, concurrency: 1 }],
  });
  const worker = await connect(world);
  const [first] = await start(world, "a");
  await worker.receiveTask({ run: first });
  await world.advance(1_000); // its start is written down
  await world.settled();
  await world.forgetShard();
  const back = await connect(world);
  await start(world, "b");
  expect(await runsOf(back)).toEqual([]);
  await world.advance(29_000);
  await world.ping(back);
  expect(await runsOf(back)).toEqual([]);
  await world.advance(1_000);
  const task = await back.receiveTask();
  expect(await runsOf(back)).toEqual([]);
  back.complete(task);
  await back.receiveTask();
});

test("a shard that has lost its memory and then crashes stays closed, and its buckets begin empty", async () => {
  const world = await begin([
    { ...BY_CUSTOMER, concurrency: 1 },
    { ...BY_CUSTOMER, rate: [{ units: 10, perMs: 600_000 }], units: 10 },
  ]);
  const worker = await connect(world);
  await start(world, "a");
  await worker.receiveTask();
  await world.forgetShard();
  const other = await connect(world);
  await start(world, "b");
  expect(await runsOf(other)).toEqual([]);
  await world.crashShard();
  await other.closed;
  const back = await resume(world, other);
  expect(await runsOf(back)).toEqual([]); // whoever had a permit may be at work
  await world.advance(60_000);
  await world.ping(back);
  expect(await runsOf(back)).toEqual([]); // nor is it known what was taken of the rate
});

test("a worker that comes back with an attempt that was cancelled has its permit until it lets go", async () => {
  const world = await begin([{ ...BY_CUSTOMER, concurrency: 1 }]);
  const worker = await connect(world);
  const [first, second] = await start(world, "a", "a");
  const task = await worker.receiveTask({ run: first });
  worker.vanish();
  await world.call("POST", `/runs/${first}/cancel`);
  await world.settled();
  const back = await resume(world, worker, task);
  await back.receive("cancel", { task: task.task, reason: "cancelled" });
  expect(await runsOf(back)).toEqual([]);
  back.say({ type: "released", task: task.task, attempt: 1 });
  await back.receiveTask({ run: second });
});

test.each([
  ["has slept", (world: World) => world.evictShard()],
  ["has crashed", (world: World) => world.crashShard()],
  ["has lost its memory", (world: World) => world.forgetShard()],
])("a run that had begun holds its workflow's limit though the shard %s", async (_what, end) => {
  const world = await createWorld();
  await world.register({
    name: "pair",
    limits: [{ ...BY_CUSTOMER, concurrency: 1 }],
    steps: [{ name: "a" }, { name: "b", parents: ["a"], retries: 1 }],
  });
  const worker = await world.connectWorker({ actions: ["pair:a", "pair:b"] });
  const [first] = await world.startRuns("pair", [{ customer: "a" }]);
  worker.complete(await worker.receiveTask({ run: first }));
  // It waits for its next attempt: nothing of it is in anybody's hands.
  worker.fail(await worker.receiveTask({ run: first }), "later", { retryAfterMs: 3_600_000 });
  await worker.receive("recorded");
  await worker.receive("recorded");
  worker.say({ type: "pause" });
  await end(world);
  const back = await world.connectWorker({ actions: ["pair:a", "pair:b"] });
  const [second, other] = await world.startRuns("pair", [{ customer: "a" }, { customer: "b" }]);
  await back.receiveTask({ run: other });
  expect(await runsOf(back)).toEqual([]);
  await world.call("POST", `/runs/${first}/cancel`);
  await back.receiveTask({ run: second });
});

test("a run whose end an earlier life did not hear of holds nothing", async () => {
  const world = await createWorld();
  await world.register({
    name: "job",
    timeoutMs: 20_000,
    limits: [{ concurrency: 1 }],
    steps: [{ name: "only", retries: 1 }],
  });
  const worker = await connect(world);
  const [first = ""] = await start(world, "a");
  worker.fail(await worker.receiveTask({ run: first }), "later", { retryAfterMs: 3_600_000 });
  await worker.receive("recorded");
  await world.settled();
  const held = await world.holdCommits();
  const sent = traffic.commitsOf(world.tenant).length;
  await world.advance(20_000, { isStuck: true });
  await traffic.sent("commit", sent + 1);
  await expect.poll(() => held.countWaiting()).toBe(1);
  await world.crashShard();
  await held.release(); // the run has taken too long, and nobody is there to hear of it
  await expect.poll(async () => (await world.readRun(first)).state).toBe("failed");
  const back = await connect(world);
  const [second] = await start(world, "b");
  await back.receiveTask({ run: second });
});

test("one key's backlog does not delay another key's task", async () => {
  const world = await begin([{ ...BY_CUSTOMER, concurrency: 1 }]);
  const worker = await connect(world);
  await start(world, ...Array.from({ length: 300 }, () => "hot"));
  const hot = await worker.receiveTask();
  const [cold] = await start(world, "cold");
  const task = await worker.receiveTask({ run: cold });
  await world.crashShard(); // everything that waits is in the queue now, in one heap
  await worker.closed;
  const back = await resume(world, worker, hot, task);
  const [other] = await start(world, "other");
  await back.receiveTask({ run: other });
  expect(await runsOf(back)).toEqual([]);
});
