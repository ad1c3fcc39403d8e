/** A database that fails, hangs or answers to nobody: every commit lands once all the same. */
import { expect, test } from "vitest";
import { COMMIT_TIMEOUT_MS, MAX_PENDING_BYTES } from "../../durable-objects/dispatcher/limits.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { traffic } from "../support/traffic.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

useVirtualTime();

const CHAIN = { name: "chain", steps: [{ name: "first" }, { name: "second", parents: ["first"] }] };

interface Story {
  world: World;
  worker: FakeWorker;
}

async function begin(): Promise<Story> {
  const world = await createWorld();
  await world.register(CHAIN);
  const worker = await world.connectWorker({ actions: ["chain:first", "chain:second"] });
  await world.settled();
  return { world, worker };
}

/** The run's two steps are done by one attempt each. */
async function finish({ world, worker }: Story, run: string): Promise<void> {
  const second = await worker.receiveTask({ step: "second", attempt: 1 });
  expect(await worker.unreadWhenQuiet()).toEqual([]);
  worker.complete(second);
  await worker.receive("recorded", { task: second.task });
  expect(await world.readRun(run)).toMatchObject({
    state: "completed",
    tasks: [{ attempts: [{ attempt: 1 }] }, { attempts: [{ attempt: 1 }] }],
  });
}

/** Some commit was sent twice, and the second time it was the same. */
function expectRepeat(world: World): void {
  const commits = traffic.commitsOf(world.tenant);
  const repeats = commits.filter(({ seq }, index) => commits[index - 1]?.seq === seq);
  expect(repeats).toHaveLength(1);
  const [repeat] = repeats;
  expect(commits.filter(({ seq }) => seq === repeat?.seq)).toEqual([repeat, repeat]);
}

test("a commit whose connection dies is repeated under its seq, and applied once", async () => {
  const { world, worker } = await begin();
  const run = await world.startRun({ workflow: "chain" });
  const first = await worker.receiveTask();
  const held = await world.holdCommits();
  worker.complete(first);
  await expect.poll(() => held.countWaiting()).toBe(1);
  expect(await held.terminateWaiting()).toBe(1);
  await held.release();
  await world.settled();
  await world.advance(1); // the repeat is due at once
  await worker.receive("recorded", { task: first.task });
  expectRepeat(world);
  await finish({ world, worker }, run.id);
});

test("a commit that landed but whose answer was lost is repeated, and hands out the same tasks", async () => {
  const { world, worker } = await begin();
  const run = await world.startRun({ workflow: "chain" });
  const first = await worker.receiveTask();
  await world.settled();
  traffic.loseAnswers(2);
  worker.complete(first);
  await world.settled();
  await world.advance(1);
  await world.advance(1_000);
  await worker.receive("recorded", { task: first.task });
  const seqs = traffic.commitsOf(world.tenant).map(({ seq }) => seq);
  expect(
    seqs.filter((seq) => seq === seqs.at(-1) || seq === (seqs.at(-1) ?? 0) - 1).length,
  ).toBeGreaterThanOrEqual(3);
  await finish({ world, worker }, run.id);
});

test("a start whose answer was lost is told to its caller once it is known", async () => {
  const { world, worker } = await begin();
  traffic.loseAnswers(1);
  const commits = traffic.commitsOf(world.tenant).length;
  const started = world.startRun({ workflow: "chain" });
  await traffic.sent("commit", commits + 1);
  await world.settled();
  await world.advance(1);
  const { id } = await started;
  worker.complete(await worker.receiveTask({ run: id, attempt: 1 }));
  await worker.receive("recorded");
  await finish({ world, worker }, id);
});

test("a commit that hangs is given up after a while and repeated; both may land", async () => {
  const { world, worker } = await begin();
  const run = await world.startRun({ workflow: "chain" });
  const first = await worker.receiveTask();
  await world.settled();
  const held = await world.holdCommits();
  worker.complete(first);
  await expect.poll(() => held.countWaiting()).toBe(1);
  const alarms = traffic.alarms;
  await world.advance(COMMIT_TIMEOUT_MS - 1, { isStuck: true });
  expect(await held.countWaiting()).toBe(1);
  expect(traffic.alarms - alarms).toBeLessThan(5); // waiting is not work
  await world.advance(1, { isStuck: true });
  await world.advance(1, { isStuck: true });
  await expect.poll(() => held.countWaiting()).toBe(2);
  await held.release();
  await worker.receive("recorded", { task: first.task });
  expectRepeat(world);
  await finish({ world, worker }, run.id);
});

test("a shard that can't recover tries again until it can", async () => {
  const world = await createWorld();
  await world.register(CHAIN);
  const held = await world.holdCommits();
  const started = world.startRun({ workflow: "chain" });
  for (let failures = 0; failures < 3; failures++) {
    await expect.poll(() => held.countWaiting()).toBe(1);
    expect(await held.terminateWaiting()).toBe(1);
    await world.settled();
    await world.advance(1_000, { isStuck: true });
  }
  await held.release();
  const run = await started;
  const worker = await world.connectWorker({ actions: ["chain:first"] });
  await worker.receiveTask({ run: run.id, attempt: 1 });
});

test("a start that no connection opens for is given up and repeated, and the late connection closes", async () => {
  const { world, worker } = await begin();
  await world.advance(COMMIT_TIMEOUT_MS); // it rests
  expect(await world.alarmAt()).toBeNull();
  traffic.holdOpenings(true);
  const started = world.startRun({ workflow: "chain" });
  await traffic.opening(1);
  await world.advance(COMMIT_TIMEOUT_MS, { isStuck: true });
  await traffic.opening(2); // another try
  traffic.holdOpenings(false);
  const { id } = await started;
  await world.settled();
  expect(traffic.connections).toBe(1);
  worker.complete(await worker.receiveTask({ run: id }));
  await worker.receive("recorded");
  await finish({ world, worker }, id);
});

test("a shard with more to commit than it may hold refuses calls until it has caught up", async () => {
  const { world, worker } = await begin();
  const held = await world.holdCommits();
  const stub = world.shard;
  const large = stub.start({ events: [], runs: [], bytes: MAX_PENDING_BYTES });
  await expect.poll(() => held.countWaiting()).toBe(1);
  const refused = await world.call("POST", "/runs", { workflow: "chain" });
  expect(refused).toMatchObject({ status: 503, body: { code: "overloaded" } });
  expect(refused.headers.get("retry-after")).toBe("2");
  await held.release();
  expect(await large).toMatchObject({ kind: "committed" });
  await world.startRun({ workflow: "chain" });
  await worker.receiveTask();
});
