/**
 * The scheduler against what it promises, held to a naive reading of it: permits are never more than their
 * bound and never leak, a task takes all that it needs or nothing, and nothing that could start waits.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Lease } from "../../durable-objects/dispatcher/leases.ts";
import { boundOf } from "../../durable-objects/dispatcher/needs.ts";
import { holderOf } from "../../durable-objects/dispatcher/scheduler.ts";
import { shardOfKey } from "../../protocol/shard-map.ts";
import { Scheduling } from "./scheduling.ts";

const BY_KEY = { key: "input.k" };

describe("whatever comes, ends, is lost or changes", () => {
  const moves = fc.array(
    fc.oneof(
      { weight: 5, arbitrary: fc.record({ kind: fc.constant("arrive" as const), n: fc.nat(9) }) },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant("end" as const), n: fc.nat(9) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("lose" as const), n: fc.nat(9) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("limit" as const), n: fc.nat(3) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("pass" as const), n: fc.nat(9) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("wait" as const), n: fc.nat(9) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("return" as const), n: fc.nat(9) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("settle" as const), n: fc.nat(9) }) },
    ),
    { maxLength: 80 },
  );

  test("permits are exact, nothing leaks, nothing that could start waits, and all of it ends", () => {
    fc.assert(
      fc.property(moves, (sequence) => {
        const world = new Scheduling(
          [
            { ...BY_KEY, concurrency: 2 },
            { limit: "shared" },
            { key: "input.k", rate: [{ units: 5, perMs: 1_000 }], units: "input.u" },
          ],
          [{ key: "input.r", concurrency: 2 }],
        );
        world.store({ name: "shared", concurrency: 3 });
        world.connect("one", { slots: 3 });
        world.connect("two", { slots: 2 });
        for (const { kind, n } of sequence) {
          act(world, kind, n);
          step(world);
        }
        for (let rounds = 0; world.window.size > 0 || world.running.size > 0; rounds++) {
          expect(rounds).toBeLessThan(1_000);
          for (const [id, { waits }] of world.running) {
            if (waits === undefined) world.end(id);
            else world.askBack(id); // and goes on in its turn
          }
          world.now += 500;
          step(world);
        }
        expect([...world.permits.ids()]).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  function act(world: Scheduling, kind: string, n: number): void {
    const running = [...world.running.keys()];
    const one = running[n % Math.max(1, running.length)];
    if (kind === "arrive") {
      const input = { k: n % 3, r: n % 4, u: 1 + (n % 3) };
      world.arrive({ input, priority: 1 + (n % 3), action: n % 2 === 0 ? "a" : "b" });
    } else if (kind === "end" && one !== undefined) world.end(one);
    else if (kind === "lose" && one !== undefined) world.lose(one);
    else if (kind === "limit") world.store({ name: "shared", concurrency: 1 + n });
    else if (kind === "pass") world.now += 100 * n;
    else if (kind === "wait" && one !== undefined) world.wait(one);
    else if (kind === "return" && one !== undefined) world.askBack(one);
    else if (kind === "settle" && one !== undefined) world.settle(one, n / 5);
  }

  function step(world: Scheduling): void {
    const before = new Map([...world.permits.ids()].map((id) => [id, world.permits.count(id)]));
    const { placements, returned } = world.schedule();
    // Never raised above the bound: a lowered one lets what runs finish.
    for (const { task } of placements) {
      for (const need of task.needs.needs) {
        const bound = boundOf(need, world.book)?.concurrency;
        if (bound === undefined) continue;
        const count = world.permits.count(need.id);
        expect(count).toBeLessThanOrEqual(Math.max(bound, before.get(need.id) ?? 0));
      }
    }
    for (const { holds } of returned) {
      for (const need of holds) {
        const bound = boundOf(need, world.book)?.concurrency ?? Infinity;
        expect(world.permits.count(need.id)).toBeLessThanOrEqual(bound);
      }
    }
    expect(heldBy(world)).toEqual(heldByRunning(world));
    expect(returnable(world)).toEqual([]);
    for (const { usedSlots, slots } of world.roster.sessions) {
      expect(usedSlots).toBeLessThanOrEqual(slots);
    }
    expect(placeable(world)).toEqual([]);
  }

  /** Every permit, with who holds it. */
  function heldBy({ permits }: Scheduling): string[] {
    return [...permits.ids()]
      .flatMap((id) => [...permits.holdersOf(id)].map((holder) => `${id} ${holder}`))
      .toSorted();
  }

  /** What the tasks that run, and the runs that have begun, should hold. */
  function heldByRunning({ running, window, permits }: Scheduling): string[] {
    const held = new Set<string>();
    const lost = [...window.lanes()].flatMap((lane) => [...lane.tasks()]);
    for (const task of [...[...running.values()].map((one) => one.task), ...lost]) {
      const one = running.get(task.id);
      for (const need of task.needs.needs) {
        const holder = holderOf(need, task);
        const isHeld = need.isOfRun
          ? one !== undefined || permits.has(need.id, holder)
          : one !== undefined && one.waits === undefined;
        if (isHeld && (need.isOfRun || !need.id.startsWith("flow:step#3"))) {
          held.add(`${need.id} ${holder}`);
        }
      }
    }
    return [...held].toSorted();
  }

  /** Of those who want to go on, the oldest, if it needs nothing that is not there. */
  function returnable({ running, permits, book }: Scheduling): string[] {
    const waiting = [...running.values()].filter(({ waits }) => waits === "return");
    return waiting.flatMap(({ lease, session }) => {
      // Those who came before it are let go on first: the oldest of each worker and limit is enough.
      const isFirst = waiting.every(
        (other) => other.lease === lease || !sharesWith(other.lease, lease),
      );
      const hasPermits = lease.holds.every(
        (need) => permits.count(need.id) < (boundOf(need, book)?.concurrency ?? Infinity),
      );
      const hasSlots = session.usedSlots + lease.slots <= session.slots;
      return isFirst && hasPermits && hasSlots ? [lease.task] : [];
    });
  }

  function sharesWith(a: Lease, b: Lease): boolean {
    return a.session === b.session || a.holds.some(({ id }) => b.holds.some((o) => o.id === id));
  }

  /** First tasks of lanes that need nothing that is not there. */
  function placeable(world: Scheduling): string[] {
    const { window, permits, returns, buckets, book, roster, now } = world;
    if (![...roster.sessions].some(({ freeSlots }) => freeSlots > 0)) return [];
    return [...window.lanes()].flatMap(({ first }) => {
      const isFree = first?.needs.needs.every((need) => {
        const { concurrency, rate } = boundOf(need, book) ?? {};
        if (permits.has(need.id, holderOf(need, first))) return true;
        if (
          concurrency !== undefined &&
          permits.count(need.id) + returns.claims(need.id) >= concurrency
        ) {
          return false;
        }
        return rate === undefined || buckets.availableAt(need.id, rate, need.units, now) <= now;
      });
      // A larger task that waits for the same bucket comes first.
      const isBehind = first?.needs.needs.some(({ id }) => {
        return (
          id.startsWith("flow:step#3") && [...window.lanes()].some((lane) => lane.blockedOn === id)
        );
      });
      return isFree === true && isBehind !== true && first ? [first.id] : [];
    });
  }
});

test("a run that has begun waits in no line for what it holds, whoever came before its next task", () => {
  const world = new Scheduling([], [{ concurrency: 1 }]);
  world.connect("one", { slots: 9 });
  const first = world.arrive({ run: "first", action: "a" });
  const other = world.arrive({ run: "other", action: "b" });
  const second = world.arrive({ run: "first", action: "b" });
  expect(world.start()).toEqual([first, second]);
  world.end(first);
  world.end(second);
  expect(world.start()).toEqual([other]);
});

test("nor in a line with those who wait for it, while it is another shard's that has yet to lend it", () => {
  const key = ["a", "b", "c", "d", "e"].find((one) => shardOfKey(`flow#1 ${one}`, 2) === 1) ?? "";
  const input = { key };
  const world = new Scheduling([], [{ key: "input.key", concurrency: 1 }]);
  world.connect("one", { slots: 9 });
  const owner = (count: number): void => {
    world.ownership.map = { version: count, since: count, count, draining: [] };
    world.turns.openAll();
  };
  const first = world.arrive({ run: "first", action: "a", input });
  expect(world.start()).toEqual([first]);
  owner(2);
  const other = world.arrive({ run: "other", action: "b", input, priority: 3 });
  expect(world.start()).toEqual([]);
  const second = world.arrive({ run: "first", action: "b", input, priority: 1 });
  expect(world.start()).toEqual([]);
  owner(1); // it is counted here again
  expect(world.start()).toEqual([second]);
  world.end(first);
  world.end(second);
  expect(world.start()).toEqual([other]);
});

test("a key with a long line does not delay another's task", () => {
  const world = new Scheduling([{ ...BY_KEY, weight: 1 }]);
  const session = world.connect("one", { slots: 1 });
  for (let n = 0; n < 1_000; n++) world.arrive({ input: { k: "hot" } });
  const [running = ""] = world.start();
  const cold = world.arrive({ input: { k: "cold" } });
  world.end(running);
  const next: string[] = world.start();
  if (!next.includes(cold)) {
    world.end(next[0] ?? "");
    next.push(...world.start());
  }
  expect(next).toContain(cold);
  expect(session.usedSlots).toBe(1);
});

test("under saturation each key has its share by weight, whatever its tasks cost", () => {
  const units = { rate: [{ units: 100, perMs: 1_000, burst: 20 }], units: "input.u" };
  const world = new Scheduling([units, { ...BY_KEY, weight: "input.w" }]);
  world.connect("one", { slots: 1_000 });
  const spent: Record<string, number> = { small: 0, large: 0, heavy: 0 };
  const keys = { small: { u: 1, w: 1 }, large: { u: 7, w: 1 }, heavy: { u: 3, w: 3 } };
  for (const [k, { u, w }] of Object.entries(keys)) {
    for (let n = 0; n < 5_000 / u; n++) world.arrive({ input: { k, u, w } });
  }
  for (; world.now < 20_000; world.now += 10) {
    for (const { task } of world.schedule().placements) {
      const { k, u } = task.input as { k: string; u: number };
      spent[k] = (spent[k] ?? 0) + u;
      world.end(task.id);
    }
  }
  const total = Object.values(spent).reduce((sum, units_) => sum + units_, 0);
  expect(total).toBeGreaterThan(0.99 * 2_000);
  expect(spent["small"]).toBeCloseTo(total / 5, -1.6);
  expect(spent["large"]).toBeCloseTo(total / 5, -1.6);
  expect(spent["heavy"]).toBeCloseTo((3 * total) / 5, -1.6);
});

test("a share is one of what is used, whatever was reserved for it", () => {
  const units = { rate: [{ units: 100, perMs: 1_000, burst: 20 }], units: "input.u" };
  const world = new Scheduling([units, { ...BY_KEY, weight: "input.w" }]);
  world.connect("one", { slots: 1_000 });
  const spent: Record<string, number> = { careful: 0, careless: 0, heavy: 0 };
  const keys = { careful: { u: 2, w: 1 }, careless: { u: 10, w: 1 }, heavy: { u: 4, w: 3 } };
  const used: Record<string, number> = { careful: 1, careless: 0.2, heavy: 1.5 };
  for (const [k, { u, w }] of Object.entries(keys)) {
    for (let n = 0; n < 4_000; n++) world.arrive({ input: { k, u, w } });
  }
  const answers: { id: string; at: number; k: string }[] = [];
  for (; world.now < 20_000; world.now += 10) {
    while (answers[0] !== undefined && answers[0].at <= world.now) {
      const { id, k } = answers[0];
      answers.shift();
      world.settle(id, used[k] ?? 1);
      world.end(id);
    }
    for (const { task } of world.schedule().placements) {
      const { k, u } = task.input as { k: string; u: number };
      spent[k] = (spent[k] ?? 0) + u * (used[k] ?? 1);
      answers.push({ id: task.id, at: world.now + 200, k });
    }
  }
  const total = Object.values(spent).reduce((sum, units_) => sum + units_, 0);
  expect(total).toBeGreaterThan(0.98 * 2_000);
  expect(spent["careful"]).toBeCloseTo(total / 5, -1.6);
  expect(spent["careless"]).toBeCloseTo(total / 5, -1.6);
  expect(spent["heavy"]).toBeCloseTo((3 * total) / 5, -1.6);
});

test("the more urgent come first, and the least urgent are not starved", () => {
  const world = new Scheduling();
  world.connect("one", { slots: 1 });
  const counts = [0, 0, 0, 0];
  for (let n = 0; n < 100; n++) for (const priority of [1, 2, 3]) world.arrive({ priority });
  for (let n = 0; n < 100; n++) {
    const [{ task } = {}] = world.schedule().placements;
    const priority = task?.needs.priority ?? 0;
    counts[priority] = (counts[priority] ?? 0) + 1;
    world.end(task?.id ?? "");
  }
  expect(counts[3]).toBeGreaterThan(75);
  expect(counts[2]).toBeGreaterThan(5);
  expect(counts[1]).toBeGreaterThan(5);
});

test("a large task that waits for units is not overtaken for ever by small ones", () => {
  const world = new Scheduling([{ rate: [{ units: 10, perMs: 1_000 }], units: "input.u" }, BY_KEY]);
  world.connect("one", { slots: 100 });
  for (let n = 0; n < 10; n++) world.arrive({ input: { k: "small", u: 1 } });
  world.start();
  const large = world.arrive({ input: { k: "large", u: 10 } });
  for (let n = 0; n < 100; n++) world.arrive({ input: { k: "small", u: 1 } });
  const started: string[] = [];
  while (!started.includes(large)) {
    world.now += 100;
    expect(world.now).toBeLessThanOrEqual(3_000);
    started.push(...world.start());
  }
});

test("more units than a bucket holds are taken when it is full, and owed", () => {
  const world = new Scheduling([{ rate: [{ units: 10, perMs: 1_000 }], units: "input.u" }]);
  world.connect("one", { slots: 10 });
  world.arrive({ input: { u: 25 } });
  world.arrive({ input: { u: 1 } });
  expect(world.start()).toHaveLength(1);
  expect(world.turns.nextOpening()).toBe(1_600);
  world.now = 1_599;
  expect(world.start()).toHaveLength(0);
  world.now = 1_600;
  expect(world.start()).toHaveLength(1);
});

describe("which worker gets a task", () => {
  test("one with the required labels only, and rather one with the preferred", () => {
    const labels = {
      gpu: { value: "yes", isRequired: true },
      memory: { value: 16, comparator: ">=" as const },
    };
    const world = new Scheduling([], [], { labels });
    world.connect("none", { slots: 9 });
    const small = world.connect("small", { slots: 9, labels: { gpu: "yes", memory: 8 } });
    const large = world.connect("large", { slots: 1, labels: { gpu: "yes", memory: 16 } });
    for (let n = 0; n < 3; n++) world.arrive();
    world.start();
    expect([small.usedSlots, large.usedSlots]).toEqual([2, 1]);
  });

  test("a hard sticky run waits for its worker, a soft one does not", () => {
    for (const [sticky, count] of [
      ["hard", 0],
      ["soft", 1],
    ] as const) {
      const world = new Scheduling([], [], { sticky });
      world.connect("other");
      const own = world.connect("own", { slots: 0 });
      world.arrive({ worker: "own" });
      expect(world.start()).toHaveLength(count);
      own.slots = 1;
      own.noteFreed();
      expect(world.start()).toHaveLength(1 - count);
    }
  });

  test("what takes several slots waits until one worker has them all", () => {
    const world = new Scheduling([], [], { slots: 3 });
    const one = world.connect("one", { slots: 4 });
    world.arrive();
    world.arrive();
    const [first = ""] = world.start();
    expect([one.usedSlots, world.window.size]).toEqual([3, 1]);
    world.end(first);
    expect(world.start()).toHaveLength(1);
  });

  test("tasks spread in proportion to the slots that are offered", () => {
    const world = new Scheduling();
    const large = world.connect("large", { slots: 60 });
    const small = world.connect("small", { slots: 20 });
    for (let n = 0; n < 60; n++) world.arrive();
    world.start();
    expect(large.usedSlots - small.usedSlots).toBeGreaterThanOrEqual(38);
  });
});
