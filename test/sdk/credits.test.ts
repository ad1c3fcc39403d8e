/** A worker's slots among its shards: never more than there are, and where work waits. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { divide, sum } from "../../sdk/session/division.ts";
import { CreditPlay } from "./credit-play.ts";

const sizes = fc.record({
  slots: fc.integer({ min: 1, max: 12 }),
  shards: fc.integer({ min: 1, max: 6 }),
});
const step = fc.record({
  what: fc.constantFrom(
    "add",
    "done",
    "toShard",
    "toShard",
    "toWorker",
    "toWorker",
    "drop",
    "connect",
  ),
  which: fc.nat(1_000),
  size: fc.constantFrom(1, 1, 1, 2, 5, 12),
});

function play(
  world: CreditPlay,
  { what, which, size }: { what: string; which: number; size: number },
): void {
  const number = which % world.shards.length;
  if (what === "add") world.add(number, size);
  else if (what === "done") world.complete(which);
  else if (what === "toShard") world.deliverToShard(number);
  else if (what === "toWorker") world.deliverToWorker(number);
  else if (what === "drop" && which % 5 === 0) world.drop(number);
  else if (what === "connect") world.connect(number);
}

test("whatever arrives when, shards can never use more slots than there are, and all work is done", () => {
  fc.assert(
    fc.property(
      sizes,
      fc.array(step, { minLength: 20, maxLength: 300 }),
      ({ slots, shards }, steps) => {
        const world = new CreditPlay(slots, shards).connectAll();
        for (const each of steps) {
          play(world, each);
          expect(world.exposed).toBeLessThanOrEqual(slots);
        }
        // Everything that fits at all is done in the end, one after another.
        const isLeft = (): boolean =>
          world.running.size > 0 ||
          world.shards.some(({ queue }) => queue.some((task) => task.slots <= slots));
        world.connectAll().rest();
        for (let round = 0; isLeft(); round++) {
          expect(round, "work that waits for ever").toBeLessThan(2_000);
          world.complete(0);
          world.rest();
          world.connectAll();
          expect(world.exposed).toBeLessThanOrEqual(slots);
        }
        world.rest();
        const { said } = world;
        world.rest();
        expect([world.said, world.credits.isDue]).toEqual([said, false]);
      },
    ),
    { numRuns: 400 },
  );
});

test("no slot is free while a task waits that could have it", () => {
  fc.assert(
    fc.property(
      sizes,
      fc.array(step, { minLength: 20, maxLength: 200 }),
      ({ slots, shards }, steps) => {
        const world = new CreditPlay(slots, shards).connectAll();
        for (const { what, ...each } of steps)
          play(world, { ...each, what: what === "drop" ? "add" : what, size: 1 });
        world.connectAll().rest();
        const waiting = sum(world.shards.map(({ queue }) => queue.length));
        if (waiting > 0) expect(world.running.size).toBe(slots);
      },
    ),
  );
});

test("one shard alone may have them all, and gives them up to another that wants some", () => {
  const world = new CreditPlay(10, 4).connectAll().rest();
  world.add(2, 1, 50);
  expect(world.rest().running.size).toBe(10);
  world.add(0, 1, 50);
  for (let count = 0; count < 10; count++) {
    world.complete(0);
    world.rest();
  }
  expect(world.shards.map(({ held }) => held.size)).toEqual([5, 0, 5, 0]);
});

test("what nobody wants is spread, so that a task begins at once wherever it comes", () => {
  const world = new CreditPlay(12, 4).connectAll().rest();
  const spread = (): number[] => world.shards.map(({ slots }) => slots);
  expect(spread()).toEqual([3, 3, 3, 3]);
  world.add(2, 1, 30);
  world.rest();
  expect(spread()).toEqual([0, 0, 12, 0]);
  while (world.running.size > 0) {
    world.complete(0);
    world.rest();
  }
  for (const slots of spread()) expect(slots).toBeGreaterThanOrEqual(1);
  const { said } = world;
  for (const number of [0, 1, 2, 3]) world.add(number);
  expect(world.rest().running.size).toBe(4);
  while (world.running.size > 0) world.complete(0);
  expect(world.rest().said).toBe(said);
});

test("shards that all have work have equal parts, and nothing is said while that is so", () => {
  const world = new CreditPlay(100, 3).connectAll().rest();
  for (const number of [0, 1, 2]) world.add(number, 1, 1_000);
  for (let count = 0; count < 200; count++) {
    world.complete(count * 7);
    world.rest();
  }
  expect(world.shards.map(({ held }) => held.size).toSorted()).toEqual([33, 33, 34]);
  const { said } = world;
  for (let count = 0; count < 400; count++) {
    world.complete(count * 7);
    world.rest();
  }
  expect(world.said - said).toBeLessThanOrEqual(3); // that half as much waits
});

test.each([
  { name: "fewer slots than shards", slots: 1, large: 1 },
  { name: "fewer slots than shards, and more than one", slots: 3, large: 1 },
  { name: "a task that takes them all", slots: 4, large: 4 },
  { name: "a task that takes more than its part", slots: 8, large: 6 },
])("with $name every shard has its turn", ({ slots, large }) => {
  const world = new CreditPlay(slots, 5).connectAll().rest();
  for (const { number } of world.shards) world.add(number, number === 0 ? large : 1, 500);
  world.rest();
  for (let count = 0; count < 300; count++) {
    world.complete(count * 13);
    world.rest();
  }
  for (const { started } of world.shards) expect(started).toBeGreaterThanOrEqual(20);
});

test("a shard that is being left gives its slots to the others as its tasks end", () => {
  const world = new CreditPlay(4, 2).connectAll().rest();
  world.add(0, 1, 2);
  world.rest();
  const [left, kept] = world.shards;
  if (left === undefined || kept === undefined) throw new Error("There are two");
  world.credits.leave(left);
  world.add(1, 1, 10);
  world.rest();
  expect([left.slots, kept.held.size]).toEqual([0, 2]);
  world.complete(0);
  world.rest();
  expect(kept.held.size).toBe(3);
  world.drop(0);
  expect(world.credits.size).toBe(2);
  world.complete(0);
  expect(world.credits.size).toBe(1);
});

test("a division gives out all there is, keeps what is reserved, and lets nobody below another go short", () => {
  const claim = fc.record({
    used: fc.nat(20),
    wanted: fc.nat(20),
    told: fc.nat(20),
    reserved: fc.constant(0),
  });
  const claims = fc.array(claim, { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(fc.nat(60), claims, fc.nat(7), fc.nat(60), (slots, given, turn, size) => {
      const all = given.map((each, index) => ({
        ...each,
        reserved: index === turn ? Math.min(size, slots) : 0,
      }));
      const shares = divide(slots, all);
      expect(sum(shares)).toBe(slots);
      for (const [index, { used, wanted, reserved }] of all.entries()) {
        const share = shares[index] ?? 0;
        expect(share).toBeGreaterThanOrEqual(reserved);
        if (share >= used + wanted) continue;
        for (const [other, { reserved: kept }] of all.entries()) {
          expect(shares[other] ?? 0).toBeLessThanOrEqual(Math.max(share + 1, kept));
        }
      }
    }),
  );
});
