/** Waits over crashes, lost answers and sleep: what has come counts once, and nothing is forgotten. */
import { expect, test } from "vitest";
import { traffic } from "../support/traffic.ts";
import { useVirtualTime, type World } from "../support/world.ts";
import {
  ACTIONS,
  begin,
  BY_ID,
  expectNothingOpen,
  MINUTE,
  pay,
  ship,
  start,
} from "./step-waits.ts";

useVirtualTime();

/** Loses the answer of a commit, once so many have been answered, and then the shard. */
async function crashAfter(
  world: World,
  commits: number,
  act: () => Promise<unknown>,
): Promise<void> {
  traffic.forget();
  traffic.loseAnswers(1, { after: commits });
  const acted = act();
  await traffic.sent("commit", commits + 1);
  await world.settled();
  await world.crashShard();
  await acted.catch(() => {}); // the call may have died with the shard
  await world.shard.nudge();
  await world.settled();
}

// The wait's own commit is the second of a run's start, and what it looks back at the third and fourth.
for (const commits of [0, 1, 2, 3]) {
  test(`a shard that dies at commit ${commits + 1} of a wait that looks back begins again`, async () => {
    const world = await begin({ ...BY_ID, withinMs: MINUTE });
    const event = await pay(world);
    await crashAfter(world, commits, () => world.startRun({ workflow: "order", input: { id: 7 } }));
    const [row] = await world.sql("select id from v1.workflow_run where tenant_id = $1", [
      world.tenant,
    ]);
    const task = await ship(world, String(row?.["id"]));
    expect([task.state, task.waited?.met]).toMatchObject(["queued", [{ event: { id: event } }]]);
    expect(task.waited?.met).toHaveLength(1);
    await expectNothingOpen(world);
  });
}

for (const commits of [0, 1, 2, 3]) {
  test(`a shard that dies at commit ${commits + 1} of an event readies each task once`, async () => {
    const world = await begin({ event: "order:paid" });
    const runs = await world.startRuns("order", [1, 2, 3]);
    await world.settled();
    await crashAfter(world, commits, () => pay(world));
    for (const run of runs) {
      const { state, waited } = await ship(world, run);
      expect([state, waited?.met.length]).toEqual(["queued", 1]);
    }
    await expectNothingOpen(world);
    const worker = await world.connectWorker({ actions: ACTIONS, slots: 10 });
    for (const task of await worker.receiveTasks(3)) worker.complete(task);
    await world.settled();
    const ran = await world.sql(
      "select from v1.task where state = 'completed' and v1.run_id(id) = any ($1)",
      [runs],
    );
    expect(ran).toHaveLength(3);
  });
}

test("an answer that was lost is asked for again, and changes nothing", async () => {
  for (const commits of [0, 1, 2, 3]) {
    const world = await begin(BY_ID);
    const run = await start(world);
    traffic.loseAnswers(1, { after: commits });
    const paid = pay(world);
    await world.settled();
    await world.advance(1_000);
    await paid;
    await world.advance(1_000);
    expect((await ship(world, run)).waited?.met).toHaveLength(1);
    const worker = await world.connectWorker({ actions: ACTIONS });
    worker.complete(await worker.receiveTask({ step: "ship", attempt: 1 }));
    await worker.receiveTask({ step: "tell" });
    await expectNothingOpen(world);
  }
});

test("a shard that has lost its memory and storage knows what it waits for, and until when", async () => {
  const world = await begin({ any: [BY_ID, { sleepMs: MINUTE }] });
  const [one, two] = [await start(world, 1), await start(world, 2)];
  await world.forgetShard();
  await world.shard.nudge();
  await world.settled();
  await pay(world, 1);
  expect((await ship(world, one)).state).toBe("queued");
  await world.advance(MINUTE);
  expect(await ship(world, two)).toMatchObject({
    state: "queued",
    waited: { met: [{ condition: 1 }] },
  });
});

test("an event that came in time counts, though its shard was down until the time was over", async () => {
  const world = await begin({ ...BY_ID, timeoutMs: MINUTE });
  const run = await start(world);
  // The event is stored, and its shard dies before it has told the task.
  const held = await world.holdLock("select from v1.workflow_run where id = $1 for update", [run]);
  await world.call("POST", "/events", { key: "order:paid", payload: { id: 7 } });
  await expect.poll(() => held.countWaiting()).toBe(1);
  expect(await held.terminateWaiting()).toBe(1);
  await world.crashShard();
  await world.dropAlarm();
  await held.release();
  await world.advance(2 * MINUTE, { isStuck: true });
  await world.shard.nudge();
  expect(await ship(world, run)).toMatchObject({ state: "queued", waited: { isMet: true } });
  await expectNothingOpen(world);
});
