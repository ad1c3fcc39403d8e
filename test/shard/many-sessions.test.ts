/** What becomes of many sessions at once costs each its own, not all of them again. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Leases } from "../../durable-objects/dispatcher/leases.ts";
import { MIN_WANTS, WANT_COVER, WANT_ROUND_MS } from "../../durable-objects/dispatcher/limits.ts";
import { Roster } from "../../durable-objects/dispatcher/roster.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { createWorld, useVirtualTime, type World } from "../support/world.ts";

const ACTIONS = ["job:only"];
const MANY = 60;
const GRACE_MS = 3_000;

let world: World;

useVirtualTime();

beforeEach(async () => {
  world = await createWorld();
  await world.register({ name: "job", steps: [{ name: "only" }] });
});
afterEach(() => vi.restoreAllMocks());

async function connectMany(): Promise<FakeWorker[]> {
  const workers: FakeWorker[] = [];
  for (let index = 0; index < MANY; index++) {
    const worker = `worker ${index}`;
    workers.push(
      await world.connectWorker({ actions: ACTIONS, slots: 1, worker, resumeGraceMs: GRACE_MS }),
    );
  }
  return workers;
}

test("a socket that closes has no other session looked at, and each is resumed or ends in time", async () => {
  const workers = await connectMany();
  const inputs = Array.from({ length: MANY }, (_, index) => index);
  await world.startRuns("job", inputs);
  for (const worker of workers) await worker.receiveTask();
  await world.settled();
  const looks = vi.spyOn(Roster.prototype, "sessions", "get");
  const dues = vi.spyOn(Leases.prototype, "nextDue");
  for (const worker of workers) worker.vanish();
  await world.settled();
  expect(looks.mock.calls.length).toBeLessThan(5);
  expect(dues.mock.calls.length).toBeLessThan(5);

  await world.advance(GRACE_MS - 1);
  const heir = await world.connectWorker({ actions: ACTIONS, slots: MANY });
  expect(await heir.unreadWhenQuiet()).toEqual([]);
  await world.advance(1);
  expect(await heir.receiveTasks(MANY)).toHaveLength(MANY);
  expect(looks.mock.calls.length).toBeLessThan(MANY);
});

test("a session that loses its socket while nothing else is due soon has its alarm", async () => {
  const away = await world.connectWorker({ actions: ACTIONS, slots: 1, resumeGraceMs: GRACE_MS });
  await world.startRun({ workflow: "job" });
  await away.receiveTask();
  for (let passed = 0; passed < 3; passed++) {
    await world.advance(5_000);
    await world.ping(away);
  }
  away.vanish();
  await world.settled();
  expect(await world.alarmAt()).toBe(Date.now() + GRACE_MS);
});

/** Workers that have all their slots at another shard. */
async function connectElsewhere(of: number): Promise<FakeWorker[]> {
  const workers: FakeWorker[] = [];
  for (let index = 0; index < MANY; index++) {
    const worker = `worker ${index}`;
    workers.push(await world.connectWorker({ actions: ACTIONS, slots: 0, of, worker }));
  }
  return workers;
}

/** How many of them have heard of a want, or of its end, since this was last asked. */
async function told(workers: FakeWorker[]): Promise<number[]> {
  const wanted: number[] = [];
  await world.settled();
  for (const worker of workers) {
    for (const frame of await worker.unreadWhenQuiet()) {
      if (frame.type === "wanted") wanted.push((await worker.receive("wanted")).slots);
    }
  }
  return wanted;
}

test("a few of many workers are asked for a slot, and more when none of those gives it; they alone hear of its end", async () => {
  const workers = await connectElsewhere(1);
  await world.startRun({ workflow: "job" });
  expect(await told(workers)).toEqual(Array.from({ length: MIN_WANTS }, () => 1));
  await world.advance(WANT_ROUND_MS - 1);
  expect(await told(workers)).toEqual([]);
  await world.advance(1);
  expect(await told(workers)).toHaveLength(MIN_WANTS);
  const [giving] = workers;
  giving?.say({ type: "slots", slots: 1, of: 1 });
  await giving?.receiveTask();
  expect(await told(workers)).toEqual(Array.from({ length: 2 * MIN_WANTS }, () => 0));
  await world.advance(10 * WANT_ROUND_MS);
  expect(await told(workers)).toEqual([]);
});

test("all of them are asked in the end, and a task waits for none that could have it", async () => {
  const workers = await connectElsewhere(1);
  await world.startRun({ workflow: "job" });
  await world.advance(3 * WANT_ROUND_MS);
  expect(await told(workers)).toHaveLength(MANY);
  await world.advance(60_000);
  expect(await told(workers)).toEqual([]);
  const late = await world.connectWorker({ actions: ACTIONS, slots: 0, of: 1, worker: "late" });
  await late.receive("wanted", { slots: 1 });
});

test("as many are asked as have several times what is wanted", async () => {
  const workers = await connectElsewhere(8);
  const inputs = Array.from({ length: 64 }, (_, index) => index);
  await world.startRuns("job", inputs);
  expect(await told(workers)).toHaveLength((64 * WANT_COVER) / 8);
});
