/** Tasks are confirmed by whoever gets them, or go to somebody else. */
import { expect, test } from "vitest";
import { CANCEL_GRACE_MS, RECEIPT_LIMIT_MS } from "../../protocol/session.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

useVirtualTime();

const SIMPLE = { name: "simple", steps: [{ name: "only", timeoutMs: 600_000 }] };
const ACTIONS = ["simple:only"];

async function begin(): Promise<World> {
  const world = await createWorld();
  await world.register(SIMPLE);
  return world;
}

test("a task that is not confirmed in time goes to another worker", async () => {
  const world = await begin();
  const blocked = await world.connectWorker({ actions: ACTIONS, slots: 5, worker: "blocked" });
  blocked.confirms = false;
  const { id } = await world.startRun({ workflow: "simple" });
  const first = await blocked.receiveTask({ attempt: 1 });
  const other = await world.connectWorker({ actions: ACTIONS, worker: "other" });
  await world.advance(RECEIPT_LIMIT_MS - 1);
  expect(await other.unreadWhenQuiet()).toEqual([]);
  await world.advance(1);
  await blocked.receive("cancel", { task: first.task, attempt: 1, reason: "lost" });
  other.complete(await other.receiveTask({ attempt: 2 }), "other's");
  await other.receive("recorded");

  blocked.complete(first, "too late"); // it was only slow
  await blocked.receive("stale", { attempt: 1 });
  const run = await world.readRun(id);
  expect(run.tasks[0]).toMatchObject({
    output: "other's",
    attempts: [
      { outcome: "lost", worker: "blocked", error: { code: "not_received" } },
      { outcome: "completed", worker: "other" },
    ],
  });
});

test("a worker that confirms nothing gets nothing, however often it pings, until it speaks", async () => {
  const world = await begin();
  const worker = await world.connectWorker({ actions: ACTIONS, slots: 5 });
  worker.confirms = false;
  await world.startRun({ workflow: "simple" });
  const first = await worker.receiveTask({ attempt: 1 });
  await world.advance(RECEIPT_LIMIT_MS);
  await worker.receive("cancel", { reason: "lost" });
  for (let rounds = 0; rounds < 3; rounds++) {
    await world.ping(worker);
    await world.advance(RECEIPT_LIMIT_MS);
  }
  expect(await worker.unreadWhenQuiet()).toEqual([]);
  expect(await world.shard.workers()).toMatchObject([{ state: "stalled" }]);

  worker.confirms = true;
  worker.release(first);
  worker.complete(await worker.receiveTask({ attempt: 2 }));
  await worker.receive("recorded");
});

test("tasks that were not confirmed don't count as lost with their worker", async () => {
  const world = await begin();
  const worker = await world.connectWorker({ actions: ACTIONS, slots: 5 });
  worker.confirms = false;
  const { id } = await world.startRun({ workflow: "simple" });
  await world.advance(RECEIPT_LIMIT_MS);
  await worker.receiveTask({ attempt: 1 });
  await world.settled();
  const text = "select rescues, attempt from v1.task where v1.run_id(id) = $1";
  expect(await world.sql(text, [id])).toEqual([{ rescues: 0, attempt: 1 }]);
});

test("a result is as good as a receipt", async () => {
  const world = await begin();
  const worker = await world.connectWorker({ actions: ACTIONS });
  worker.confirms = false;
  await world.startRun({ workflow: "simple" });
  worker.complete(await worker.receiveTask());
  await worker.receive("recorded");
  await world.advance(RECEIPT_LIMIT_MS);
  expect(await worker.unreadWhenQuiet()).toEqual([]);
});

test("while a worker is away its receipts are not missed", async () => {
  const world = await begin();
  const worker = await world.connectWorker({ actions: ACTIONS });
  worker.confirms = false;
  await world.startRun({ workflow: "simple" });
  const { task, attempt } = await worker.receiveTask();
  worker.vanish();
  await world.settled();
  await world.advance(RECEIPT_LIMIT_MS + 1);
  const back = await world.openSocket();
  const session = worker.welcome?.session ?? "";
  const welcome = await back.hello({ actions: ACTIONS, session, running: [{ task, attempt }] });
  expect(welcome.resumed).toEqual([{ task, attempt }]);
});

test("a slot that its worker doesn't give back is taken back", async () => {
  const world = await begin();
  const worker = await world.connectWorker({ actions: ACTIONS, slots: 1 });
  const [first = "", second = ""] = await world.startRuns("simple", [1, 2]);
  const held = await worker.receiveTask({ run: first });
  await world.call("POST", `/runs/${first}/cancel`);
  await worker.receive("cancel", { task: held.task, reason: "cancelled" });
  await world.advance(CANCEL_GRACE_MS - 1);
  expect(await worker.unreadWhenQuiet()).toEqual([]);
  await world.ping(worker); // it has heard of it, and does nothing about it
  await world.advance(1);
  await worker.receiveTask({ run: second });
});

test("a worker that may not have heard that it is to stop keeps its slot until it is heard of or given up", async () => {
  const world = await begin();
  const [silent, late] = [
    await world.connectWorker({ actions: ACTIONS, slots: 1 }),
    await world.connectWorker({ actions: ACTIONS, slots: 1 }),
  ];
  const runs = await world.startRuns("simple", [1, 2, 3, 4]);
  const [one, two] = [await silent.receiveTask(), await late.receiveTask()];
  for (const { run } of [one, two]) await world.call("POST", `/runs/${run}/cancel`);
  await silent.receive("cancel");
  await late.receive("cancel");
  await world.advance(CANCEL_GRACE_MS);
  expect([await silent.unreadWhenQuiet(), await late.unreadWhenQuiet()]).toEqual([[], []]);
  late.say({ type: "resume" }); // a word of it
  await world.advance(CANCEL_GRACE_MS / 2);
  const { run } = await late.receiveTask();
  expect(runs.slice(2)).toContain(run);
  expect(await silent.unreadWhenQuiet()).toEqual([]);
});
