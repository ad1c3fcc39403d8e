/** Waiting for children: what a result is, and whose slot it is meanwhile. */
import { expect, onTestFinished, test, vi } from "vitest";
import { type ChildRun, RunFailedError, workflow } from "../../sdk/index.ts";
import { type FakeSession, type FakeShard, task } from "./fake-shard.ts";
import type { Queue } from "./queue.ts";
import { type Call, createWorld, signalOf } from "./world.ts";

const ship = workflow({ name: "ship" });
const pack = ship.step("pack", { run: () => ({ parcel: 1 }) });
const shipOrder = ship.returns(pack);

interface Parent {
  parent: Call;
  children: ChildRun<{ parcel: number }>[];
  session: FakeSession;
  shard: FakeShard;
  /** Of the tasks after the parent's. */
  calls: Queue<Call>;
  stop: () => Promise<void>;
}

/** A handler of `task-1` on a worker of one slot, with children that run: `ship:1`, `ship:2`, … */
async function parentOf(count: number): Promise<Parent> {
  const { connect, calls, shard } = await createWorld();
  const { session, worker } = await connect({ slots: 1 });
  session.send(task());
  const parent = await calls.next("a call");
  const spawned = parent.ctx.spawnMany(
    shipOrder,
    Array.from({ length: count }, () => ({ input: null })),
  );
  await session.grantSpawn();
  return { parent, children: await spawned, session, shard, calls, stop: () => worker.stop() };
}

const [first, second] = [0, 1] as const;
function childOf({ children }: Parent, index: number): ChildRun<{ parcel: number }> {
  const child = children[index];
  if (child === undefined) throw new Error(`There is no child ${index}`);
  return child;
}

/** Types of the frames that the worker has sent, without those of its connecting. */
function saidBy(session: FakeSession): string[] {
  const frames = session.messages.flatMap((message) => message.frames);
  return frames.map(({ type }) => type).filter((type) => type !== "hello" && type !== "received");
}

test("a result is pushed: the output that the child's workflow returns, without asking", async () => {
  const world = await parentOf(1);
  const result = childOf(world, first).result();
  await world.session.next("waiting");
  world.session.finishChild("ship:1", { outputs: { pack: { parcel: 9 }, other: 1 } });
  await world.session.letGoOn();
  expect(await result).toEqual({ parcel: 9 });
  expect(world.shard.requests.filter(({ path }) => path.endsWith("/result"))).toEqual([]);
});

test("a result too large to be pushed is fetched once", async () => {
  const world = await parentOf(1);
  const path = "GET /runs/run-of-ship%3A1/result";
  const outputs = { pack: { parcel: 9 } };
  world.shard.on(path, () => ({
    body: { id: "run-of-ship:1", state: "completed", outputs, error: null },
  }));
  const result = childOf(world, first).result();
  world.session.finishChild("ship:1", { outputs: null });
  await world.session.letGoOn();
  expect(await result).toEqual({ parcel: 9 });
  expect(world.shard.requestsTo(path)).toHaveLength(1);
});

test("a child that failed throws with its run, step and error", async () => {
  const world = await parentOf(1);
  const result = childOf(world, first)
    .result()
    .catch((error: unknown) => error);
  const error = { code: "handler_error", name: "TypeError", message: "no box" } as const;
  world.session.finishChild("ship:1", { state: "failed", error: { ...error, step: "pack" } });
  await world.session.letGoOn();
  const failure = await result;
  expect(failure).toBeInstanceOf(RunFailedError);
  expect(failure).toMatchObject({ runId: "run-of-ship:1", state: "failed", step: "pack" });
  expect(String(failure)).toContain('failed in step "pack": TypeError: no box');
});

test("a child that was cancelled throws with the run's own error", async () => {
  const world = await parentOf(1);
  const result = childOf(world, first)
    .result()
    .catch((error: unknown) => error);
  const error = { code: "cancelled", name: "Cancelled", message: "by hand", step: null } as const;
  world.session.finishChild("ship:1", { state: "cancelled", error });
  await world.session.letGoOn();
  expect(await result).toMatchObject({ state: "cancelled", step: null, error });
  expect(String(await result)).toContain("Run run-of-ship:1 cancelled: by hand");
});

test("the result of a child that has finished is there at once, as often as it is asked for", async () => {
  const world = await parentOf(1);
  world.session.finishChild("ship:1", { outputs: { pack: { parcel: 9 } } });
  await world.session.settled();
  expect(await childOf(world, first).result()).toEqual({ parcel: 9 });
  expect(await childOf(world, first).result()).toEqual({ parcel: 9 });
  expect(world.session.count("waiting")).toBe(0);
});

test("while a handler waits its slot is another task's, and it gets the next one before new tasks", async () => {
  const world = await parentOf(1);
  const { session, calls } = world;
  const events: string[] = [];
  void childOf(world, first)
    .result()
    .then(() => events.push("parent goes on"));
  await session.next("waiting");
  session.send(task({ task: "a" }), task({ task: "b" }));
  const a = await calls.next("a call");
  session.finishChild("ship:1");
  await session.settled();
  expect(events).toEqual([]);
  expect(await session.next("return")).toEqual({
    type: "return",
    task: "task-1",
    attempt: 1,
    wait: 1,
  });
  // Not before it may, and not before there is a slot on this machine.
  session.send({ type: "returned", task: "task-1", attempt: 1, wait: 1, timeoutMs: 60_000 });
  await session.settled();
  expect(events).toEqual([]);
  a.finish();
  await session.next("completed");
  await session.settled();
  expect(events).toEqual(["parent goes on"]);
  expect(calls.size).toBe(0);
  world.parent.finish();
  expect((await calls.next("a call")).ctx.taskId).toBe("b");
});

test("several waits at once are one: the slot is back before the last of them ends", async () => {
  const world = await parentOf(2);
  const { session } = world;
  const ended: number[] = [];
  const waits = world.children.map(async (child, index) => {
    await child.result();
    ended.push(index);
  });
  await session.next("waiting");
  session.finishChild("ship:2");
  await session.settled();
  expect(ended).toEqual([second]);
  expect(session.count("return")).toBe(0);
  session.finishChild("ship:1");
  await session.letGoOn();
  await Promise.all(waits);
  expect(saidBy(session).filter((type) => /^(waiting|return)$/.test(type))).toEqual([
    "waiting",
    "return",
  ]);
});

test("a handler that keeps its slot while it waits says nothing of it", async () => {
  const world = await parentOf(1);
  const { session, calls } = world;
  const result = childOf(world, first).result({ keepSlot: true });
  session.send(task({ task: "a" }));
  await session.settled();
  expect(calls.size).toBe(0);
  session.finishChild("ship:1", { outputs: { pack: { parcel: 9 } } });
  expect(await result).toEqual({ parcel: 9 });
  expect(saidBy(session)).toEqual(["spawn", "released"]);
});

test("a wait that is stopped by its signal ends with the signal's reason, in a slot", async () => {
  const world = await parentOf(1);
  const { session, calls } = world;
  const stop = new AbortController();
  const result = childOf(world, first)
    .result({ signal: stop.signal })
    .catch((error: unknown) => error);
  await session.next("waiting");
  session.send(task({ task: "a" }));
  const a = await calls.next("a call");
  const reason = new Error("long enough");
  stop.abort(reason);
  a.finish();
  await session.letGoOn();
  expect(await result).toBe(reason);
  await expect(childOf(world, first).result({ signal: stop.signal })).rejects.toBe(reason);
  session.finishChild("ship:1", { outputs: { pack: { parcel: 9 } } });
  await session.settled();
  expect(await childOf(world, first).result()).toEqual({ parcel: 9 });
});

test("a handler that is cancelled while it waits ends at once, without a slot", async () => {
  const world = await parentOf(1);
  const { session, calls, parent } = world;
  const result = childOf(world, first)
    .result()
    .catch((error: unknown) => error);
  await session.next("waiting");
  session.send(task({ task: "a" }));
  await calls.next("a call");
  session.send({ type: "cancel", task: "task-1", attempt: 1, reason: "cancelled" });
  const reason = await signalOf(parent.ctx.signal);
  expect(await result).toBe(reason);
  parent.fail(reason);
  expect(await session.next("released")).toMatchObject({ task: "task-1" });
  expect(session.count("return")).toBe(0);
  session.send(task({ task: "b" }));
  await session.settled();
  expect(calls.size).toBe(0); // Its slot had been given back already: there is one, and "a" has it.
});

test("a handler that is cancelled while it waits for a slot again does not take one", async () => {
  const world = await parentOf(1);
  const { session, calls, parent } = world;
  const result = childOf(world, first).result();
  await session.next("waiting");
  session.send(task({ task: "a" }), task({ task: "b" }));
  const a = await calls.next("a call");
  session.finishChild("ship:1", { outputs: { pack: { parcel: 9 } } });
  await session.letGoOn();
  session.send({ type: "cancel", task: "task-1", attempt: 1, reason: "run_timeout" });
  await signalOf(parent.ctx.signal);
  expect(await result).toEqual({ parcel: 9 });
  a.finish();
  expect((await calls.next("a call")).ctx.taskId).toBe("b");
});

test("a handler that waits again before it has a slot needs none", async () => {
  const world = await parentOf(2);
  const { session, calls } = world;
  const one = childOf(world, first).result();
  await session.next("waiting");
  session.send(task({ task: "a" }), task({ task: "b" }));
  const a = await calls.next("a call");
  session.finishChild("ship:1");
  const { wait } = await session.next("return");
  const two = childOf(world, second).result();
  await one;
  await session.next("waiting");
  const late = { type: "returned", task: "task-1", attempt: 1, wait, timeoutMs: 60_000 } as const;
  session.send(late);
  a.finish();
  const b = await calls.next("a call");
  expect(b.ctx.taskId).toBe("b");
  session.finishChild("ship:2");
  b.finish();
  const events: string[] = [];
  void two.then(() => events.push("goes on"));
  expect(await session.next("return")).toMatchObject({ wait: wait + 1 });
  session.send(late); // the answer to its first wait, which it has taken back
  await session.settled();
  expect(events).toEqual([]);
  session.send({ ...late, wait: wait + 1 });
  await two;
});

test("a handler that ends while a wait is open leaves no slot taken", async () => {
  const world = await parentOf(1);
  const { session, calls, parent } = world;
  void childOf(world, first).result();
  await session.next("waiting");
  parent.finish("without it");
  expect(await session.next("completed")).toMatchObject({ output: "without it" });
  session.send(task({ task: "a" }));
  expect((await calls.next("a call")).ctx.taskId).toBe("a");
  expect(session.count("return")).toBe(0);
});

test("a wait goes on over sockets, and each hears whether the handler waits", async () => {
  const world = await parentOf(1);
  const { session, shard } = world;
  const result = childOf(world, first).result();
  await session.next("waiting");
  session.vanish();
  const next = (await shard.session()).welcome({ resumed: [{ task: "task-1", attempt: 1 }] });
  await next.next("waiting");
  await next.grantSpawn();
  next.finishChild("ship:1", { outputs: { pack: { parcel: 9 } } });
  await next.next("return");
  next.vanish();
  const third = (await shard.session()).welcome({ resumed: [{ task: "task-1", attempt: 1 }] });
  await third.letGoOn();
  expect(await result).toEqual({ parcel: 9 });
  third.vanish();
  const last = (await shard.session()).welcome({ resumed: [{ task: "task-1", attempt: 1 }] });
  await last.settled();
  expect(last.count("waiting") + last.count("return") + last.count("spawn")).toBe(0);
});

test("a handler whose lease is lost while it waits is told", async () => {
  const { connect, calls, shard } = await createWorld();
  const { session } = await connect({ slots: 1 });
  session.send(task());
  const { ctx } = await calls.next("a call");
  const spawned = ctx.spawn(shipOrder, null);
  await session.grantSpawn();
  const result = (await spawned).result().catch((error: unknown) => error);
  await session.next("waiting");
  session.send({ type: "stale", task: "task-1", attempt: 1 });
  expect(await result).toMatchObject({ name: "TaskAbortedError", code: "stale" });
  session.vanish();
  const again = (await shard.session()).welcome();
  await again.settled();
  expect(again.count("spawn") + again.count("waiting")).toBe(0);
});

test("a handler's time stands still while it waits", async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: 1_000_000 });
  onTestFinished(() => void vi.useRealTimers());
  const world = await parentOf(1);
  const { session, parent } = world;
  vi.setSystemTime(1_010_000);
  const result = childOf(world, first).result();
  await session.next("waiting");
  vi.setSystemTime(5_000_000);
  expect(parent.ctx.deadline.getTime()).toBe(5_050_000);
  session.finishChild("ship:1");
  await session.letGoOn(50_000);
  await result;
  vi.setSystemTime(5_020_000);
  expect(parent.ctx.deadline.getTime()).toBe(5_050_000);
});

test("a worker that stops lets a handler that waits for its children end", async () => {
  const world = await parentOf(1);
  const { session, parent } = world;
  const result = childOf(world, first).result();
  await session.next("waiting");
  const stopped = world.stop();
  await session.next("drain");
  session.finishChild("ship:1", { outputs: { pack: { parcel: 9 } } });
  await session.letGoOn();
  expect(await result).toEqual({ parcel: 9 });
  parent.finish("after it");
  expect(await session.next("completed")).toMatchObject({ output: "after it" });
  session.send({ type: "recorded", task: "task-1", attempt: 1 });
  await stopped;
});
