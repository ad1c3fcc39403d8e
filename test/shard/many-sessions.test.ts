/** What becomes of many sessions at once costs each its own, not all of them again. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Leases } from "../../durable-objects/dispatcher/leases.ts";
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
