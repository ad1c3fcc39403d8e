/** Attempts that wait for children: what they had is others' meanwhile, and theirs again before new tasks'. */
import { expect, test } from "vitest";
import { Scheduling } from "./scheduling.ts";

const BY_KEY = { key: "input.k" };

test("an attempt that waits gives its slot and permit to others, and has them back before new tasks", () => {
  const world = new Scheduling([{ ...BY_KEY, concurrency: 1 }]);
  world.store();
  world.connect("one", { slots: 1 });
  const input = { k: "a" };
  const [first, second, third] = [1, 2, 3].map(() => world.arrive({ input }));
  expect(world.start()).toEqual([first]);
  world.wait(first ?? "");
  expect(world.start()).toEqual([second]);
  world.askBack(first ?? "");
  expect(world.schedule()).toMatchObject({ returned: [], placements: [] });
  world.end(second ?? "");
  expect(world.schedule()).toMatchObject({ returned: [{ task: first }], placements: [] });
  world.end(first ?? "");
  expect(world.start()).toEqual([third]);
});

test("an attempt that wants to go on with two permits is not overtaken for ever by tasks that need one", () => {
  const world = new Scheduling([
    { key: "input.k", concurrency: 1 },
    { key: "input.l", fallbackKey: "none", concurrency: 1 },
  ]);
  world.store();
  world.connect("one", { slots: 9 });
  const both = world.arrive({ input: { k: "k", l: "l" } });
  expect(world.start()).toEqual([both]);
  world.wait(both);
  const running = [
    world.arrive({ input: { k: "k", l: "x" } }),
    world.arrive({ input: { k: "y", l: "l" } }),
  ];
  expect(world.start().toSorted()).toEqual(running);
  world.askBack(both);
  for (let n = 0; n < 5; n++) {
    world.arrive({ input: { k: "k", l: `x${n}` } });
    world.arrive({ input: { k: `y${n}`, l: "l" } });
  }
  world.end(running[0] ?? "");
  expect(world.start()).toEqual([]); // its permit is spoken for
  world.end(running[1] ?? "");
  expect(world.schedule().returned).toMatchObject([{ task: both }]);
});

test("an attempt that does not want to go on any more leaves what it would have had to others", () => {
  const world = new Scheduling([{ ...BY_KEY, concurrency: 1 }]);
  world.store();
  world.connect("one", { slots: 2 });
  const input = { k: "a" };
  const first = world.arrive({ input });
  world.start();
  world.wait(first);
  const second = world.arrive({ input });
  world.start();
  world.askBack(first);
  const third = world.arrive({ input });
  world.end(second);
  world.end(first);
  expect(world.start()).toEqual([third]);
});
