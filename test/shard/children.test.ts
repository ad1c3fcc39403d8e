/** Runs that handlers start: once by their key, told to whoever waits, cancelled with their parent. */
import { expect, test } from "vitest";
import type { ChildStart, ShardFrame, TaskFrame } from "../../protocol/session.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

useVirtualTime();

const PARENT = { name: "parent", steps: [{ name: "only", timeoutMs: 10_000 }] };
const CHILD = { name: "child", steps: [{ name: "only" }] };

interface Story {
  world: World;
  worker: FakeWorker;
  /** The parent's task, in the worker's hands. */
  task: TaskFrame;
}

async function begin(slots = 10): Promise<Story> {
  const world = await createWorld();
  await world.register(PARENT);
  await world.register(CHILD);
  const worker = await world.connectWorker({ actions: ["parent:only", "child:only"], slots });
  await world.startRun({ workflow: "parent" });
  return { world, worker, task: await worker.receiveTask() };
}

function child(key: string, part: Partial<ChildStart> = {}): ChildStart {
  return { key, workflow: "child", input: { key }, metadata: {}, ...part };
}

function spawn(worker: FakeWorker, { task, attempt }: TaskFrame, ...children: ChildStart[]): void {
  worker.say({ type: "spawn", task, attempt, children });
}

async function spawnOne(story: Story, part: Partial<ChildStart> = {}): Promise<string> {
  spawn(story.worker, story.task, child("one", part));
  const { run = "" } = await story.worker.receive("spawned", { key: "one" });
  return run;
}

test("a child runs, and its parent's attempt hears what came of it", async () => {
  const story = await begin();
  const { world, worker, task } = story;
  const run = await spawnOne(story);
  const ofChild = await worker.receiveTask({ run, input: { key: "one" } });
  worker.complete(ofChild, "done");
  const { task: id, attempt } = task;
  const what = {
    task: id,
    attempt,
    key: "one",
    run,
    state: "completed",
    outputs: { only: "done" },
  };
  await worker.receive("child", { ...what, error: null });
  expect(await world.readRun(run)).toMatchObject({ parent: { run: task.run, task: task.task } });
  expect((await world.readRun(task.run)).tasks[0]?.children).toEqual([
    { key: "one", run, isDetached: false },
  ]);
});

test("a child that failed says with which error", async () => {
  const story = await begin();
  const run = await spawnOne(story);
  story.worker.fail(await story.worker.receiveTask({ run }), "broken");
  await story.worker.receive("child", {
    state: "failed",
    outputs: {},
    error: { step: "only", message: "broken" },
  });
});

test("the next attempt of a task gets the children of the one before", async () => {
  const story = await begin();
  const { world, worker, task } = story;
  const run = await spawnOne(story);
  worker.complete(await worker.receiveTask({ run }), "done");
  await worker.receive("child");
  worker.vanish();
  await world.settled();
  const back = await world.openSocket();
  const actions = ["parent:only", "child:only"];
  await back.hello({ actions, session: worker.welcome?.session ?? "", running: [] });
  const again = await back.receiveTask({ task: task.task, attempt: 2 });
  spawn(back, again, child("one"), child("two"));
  expect(await back.receive("spawned", { key: "one" })).toMatchObject({ run });
  await back.receive("child", { attempt: 2, key: "one", outputs: { only: "done" } });
  await back.receive("spawned", { key: "two" });
  const { items } = (await world.call<{ items: unknown[] }>("GET", "/runs?workflow=child")).body;
  expect(items).toHaveLength(2);
});

test("a spawn said twice starts one child, and one answer more", async () => {
  const story = await begin();
  const { worker, task } = story;
  const run = await spawnOne(story);
  expect(await spawnOne(story)).toBe(run);
  spawn(worker, task, child("one"), child("one"));
  await worker.receive("spawned", { key: "one", run });
  const seen = await worker.unreadWhenQuiet();
  expect(seen.filter(({ type }) => type === "task")).toHaveLength(1);
});

test.each([
  ["that nobody has", "workflow_not_found", async () => {}],
  [
    "that is paused",
    "workflow_paused",
    async (world: World) => {
      await world.register({ ...CHILD, name: "missing" });
      await world.call("PUT", "/workflows/missing/pause", { mode: "drop" });
    },
  ],
])("a child of a workflow %s is refused, and the others are not", async (_, code, prepare) => {
  const { world, worker, task } = await begin();
  await prepare(world);
  spawn(worker, task, child("bad", { workflow: "missing" }), child("good"));
  const frames = [await worker.receive("spawned"), await worker.receive("spawned")];
  expect(frames.find(({ key }) => key === "bad")?.refusal).toMatchObject({ code });
  expect(frames.find(({ key }) => key === "good")?.run).toBeDefined();
});

test("an attempt that is over starts no children", async () => {
  const { worker, task } = await begin();
  worker.complete(task);
  await worker.receive("recorded");
  spawn(worker, task, child("late"));
  await worker.receive("stale", { task: task.task });
});

test("a result in the same message as a spawn comes after it", async () => {
  const { world, worker, task } = await begin();
  const { task: id, attempt, shard } = task;
  const times = { startedAt: Date.now(), finishedAt: Date.now() };
  worker.say(
    { type: "spawn", task: id, attempt, children: [child("one", { isDetached: true })] },
    { type: "completed", task: id, attempt, shard, output: null, ...times },
  );
  await worker.receive("spawned", { key: "one" });
  await worker.receive("recorded");
  worker.complete(await worker.receiveTask({ workflow: "child" }));
  expect((await world.readRun(task.run)).state).toBe("completed");
});

test("children end with a cancelled parent, theirs with them, and detached ones don't", async () => {
  const story = await begin();
  const { world, worker, task } = story;
  spawn(worker, task, child("kept", { isDetached: true }), child("mid", { workflow: "parent" }));
  const [kept, mid] = [await worker.receive("spawned"), await worker.receive("spawned")];
  const runs = { [kept.key]: kept.run ?? "", [mid.key]: mid.run ?? "" };
  const tasks = [await worker.receiveTask(), await worker.receiveTask()];
  const ofMid = tasks.find(({ workflow }) => workflow === "parent");
  if (ofMid === undefined) throw new Error("The child has no task");
  spawn(worker, ofMid, child("low"));
  const { run: low = "" } = await worker.receive("spawned", { key: "low" });
  const ofLow = await worker.receiveTask({ run: low });

  await world.call("POST", `/runs/${task.run}/cancel`);
  await world.settled();
  const told = (await worker.unreadWhenQuiet()).flatMap((frame: ShardFrame) =>
    frame.type === "cancel" ? [frame.task] : [],
  );
  expect(told.toSorted()).toEqual([task.task, ofMid.task, ofLow.task].toSorted());
  for (const run of [task.run, runs["mid"] ?? "", low]) {
    expect((await world.readRun(run)).state).toBe("cancelled");
  }
  expect((await world.readRun(runs["kept"] ?? "")).state).toBe("queued");
});

test("a handler that waits for its children gives back its slot, and time stands still for it", async () => {
  const { world, worker, task } = await begin(1);
  spawn(worker, task, child("one"));
  const { run } = await worker.receive("spawned");
  expect(await worker.unreadWhenQuiet()).toEqual([]); // its one slot is taken
  const { task: id, attempt } = task;
  await world.advance(4_000);
  worker.say({ type: "waiting", task: id, attempt });
  const ofChild = await worker.receiveTask({ run });
  for (let passed = 0; passed < 50_000; passed += 10_000) {
    await world.advance(10_000);
    await world.ping(worker);
  }
  worker.complete(ofChild);
  await worker.receive("child", { key: "one", state: "completed" });
  worker.say({ type: "return", task: id, attempt, wait: 1 });
  await worker.receive("returned", { task: id, wait: 1, timeoutMs: 6_000 });
  await world.advance(5_999); // of its ten seconds four had passed
  expect(await worker.unreadWhenQuiet()).toMatchObject([{ type: "recorded" }]);
  await world.advance(1);
  await worker.receive("cancel", { task: id, reason: "execution_timeout" });
});

test("a worker that vanishes while it waits loses the attempt as any other", async () => {
  const { world, worker, task } = await begin();
  worker.say({ type: "waiting", task: task.task, attempt: 1 });
  await world.advance(29_999);
  const other = await world.connectWorker({ actions: ["parent:only"] });
  await world.advance(1);
  await other.receiveTask({ task: task.task, attempt: 2 });
});

test("a shard that slept remembers who waits", async () => {
  const story = await begin(1);
  const { world, worker, task } = story;
  const run = await spawnOne(story);
  worker.say({ type: "waiting", task: task.task, attempt: 1 });
  const ofChild = await worker.receiveTask({ run });
  await world.evictShard();
  worker.complete(ofChild, "done");
  await worker.receive("child", { key: "one", outputs: { only: "done" } });
  expect(await world.shard.workers()).toMatchObject([{ usedSlots: 0 }]);
});

test("a handler that asks for more time gets it, from then on", async () => {
  const { world, worker, task } = await begin();
  const { task: id, attempt } = task;
  await world.advance(9_000);
  worker.say({ type: "extend", task: id, attempt, timeoutMs: 5_000 });
  await worker.receive("extended", { task: id, attempt, timeoutMs: 5_000 });
  await world.evictShard();
  await world.advance(4_999);
  expect(await worker.unreadWhenQuiet()).toEqual([]);
  await world.advance(1);
  await worker.receive("cancel", { reason: "execution_timeout" });
  worker.say({ type: "extend", task: id, attempt, timeoutMs: 5_000 });
  await worker.receive("stale", { task: id });
});
