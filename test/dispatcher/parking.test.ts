/** A crowded window: what can't start waits in the queue, and what could start has room. */
import { expect, test } from "vitest";
import { MAX_PARK, MAX_WINDOW, MAX_WINDOW_BYTES } from "../../durable-objects/dispatcher/limits.ts";
import { Scheduling } from "./scheduling.ts";

const ONE_EACH = [{ key: "input.k", concurrency: 1 }];

/** A window that is full of tasks whose keys are held: `held` are the tasks that hold them. */
function crowded(): { world: Scheduling; held: string[] } {
  const world = new Scheduling(ONE_EACH);
  world.connect("one", { slots: MAX_WINDOW });
  const keys = Array.from({ length: MAX_WINDOW * 0.75 }, (_, k) => ({ input: { k } }));
  for (const key of keys) world.arrive(key);
  const held = world.start();
  for (const key of keys) world.arrive(key);
  return { world, held };
}

test("what waits in a crowded window goes back to the queue, a commit's worth at a time", () => {
  const { world } = crowded();
  expect(world.window.isCrowded).toBe(true);
  expect(world.schedule().parked).toHaveLength(MAX_PARK);
  let rounds = 0;
  while (!world.window.isRoomy && rounds++ < 20) world.schedule();
  expect(world.window.isCrowded).toBe(false);
  expect(world.schedule().parked).toEqual([]);
});

test("a parked task is fetched when it could start, and not before", () => {
  const { world, held } = crowded();
  const { parked } = world.schedule();
  const [first] = parked;
  const lane = world.window.find({ action: "a", lane: first?.needs.lane ?? 0 });
  expect(lane).toMatchObject({
    length: 0,
    standing: "blocked",
    parked: { id: first?.id, input: null },
  });
  world.backlog.note({ action: "a", lane: lane?.number ?? 0 });
  expect(world.backlog.demand(() => true)).toEqual([]);
  const holder = held.find((id) => {
    const running = world.running.get(id);
    return running?.task.needs.lane === lane?.number;
  });
  world.end(holder ?? "");
  expect(world.start()).toEqual([]);
  expect(world.backlog.demand(() => true)).toMatchObject([{ action: "a", lane: lane?.number }]);
});

test("what waits for a slot leaves room for what has its turn, also when there are few and large ones", () => {
  const world = new Scheduling([{ key: "input.k" }]);
  for (let k = 0; k < 10; k++) world.arrive({ input: { k }, bytes: MAX_WINDOW_BYTES / 20 });
  const session = world.connect("one", { slots: 1 });
  const [running = ""] = world.start();
  expect(world.window.isRoomy).toBe(true);
  const waiting = [...world.window.lanes()].filter(({ length }) => length > 0);
  expect(waiting.length).toBeGreaterThan(0); // a slot that becomes free has work at once
  for (const lane of world.window.lanes()) {
    if (lane.parked) world.backlog.note({ action: lane.action, lane: lane.number });
  }
  world.end(running);
  world.schedule();
  expect(session.usedSlots + world.backlog.demand(() => true).length).toBe(1);
});

test("a parked task whose run has ended does not hold up those behind it, whose runs hold what its run held", () => {
  const world = new Scheduling(ONE_EACH, [{ key: "input.group", concurrency: 1 }]);
  world.connect("one", { slots: 10 });
  const inGroup = (k: string): object => ({ input: { k, group: "ours" } });
  world.arrive({ input: { k: "shared", group: "others" } });
  const [holder = ""] = world.start();
  world.arrive({ run: "first", ...inGroup("1") });
  const [ofFirst = ""] = world.start();
  world.arrive({ run: "first", bytes: MAX_WINDOW_BYTES / 2, ...inGroup("shared") });
  const [parked] = world.schedule().parked;
  const row = { action: "a", lane: parked?.needs.lane ?? 0 };
  world.backlog.note(row);

  world.end(ofFirst); // with its run, which was cancelled
  world.arrive({ run: "second", ...inGroup("2") });
  expect(world.start()).toHaveLength(1);
  // In the queue, a task of the second run is next in the lane.
  world.end(holder);
  expect(world.start()).toEqual([]);
  expect(world.backlog.demand(() => true)).toMatchObject([row]);
});

test("nobody is cancelled for a parked task before it has been fetched: it may be gone", () => {
  const world = new Scheduling([{ ...ONE_EACH[0], strategy: "cancel-in-progress" }]);
  world.connect("one", { slots: 10 });
  world.arrive({ input: { k: 1 } });
  world.start();
  world.arrive({ input: { k: 1 }, bytes: MAX_WINDOW_BYTES });
  const { evictions, parked } = world.schedule();
  expect(evictions).toHaveLength(1);
  const row = { action: "a", lane: parked[0]?.needs.lane ?? 0 };
  world.backlog.note(row);

  world.turns.openAll();
  expect(world.schedule().evictions).toEqual([]);
  expect(world.backlog.demand(() => true)).toMatchObject([row]);
});

test("tasks that wait for slots are wanted for as before when they wait in the queue", () => {
  const world = new Scheduling([{ key: "input.k" }], [], { slots: 2 });
  const session = world.connect("one", { slots: 1 });
  const demand = world.turns.countSlots(true);
  for (let k = 0; k < 30; k++) world.arrive({ input: { k }, bytes: MAX_WINDOW_BYTES / 20 });
  const { parked } = world.schedule();
  expect(parked.length).toBeGreaterThan(0);
  expect(demand?.of(session, 9)).toEqual({ slots: 60, least: 2 });
});
