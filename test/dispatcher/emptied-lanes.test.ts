/** Lanes whose tasks are cancelled while they wait: there may be as many as there are keys. */
import { describe, expect, test } from "vitest";
import { MAX_EMPTIED_LANES } from "../../durable-objects/dispatcher/limits.ts";
import { Scheduling } from "./scheduling.ts";

describe("of lanes whose tasks are cancelled nothing is kept", () => {
  test("once what they stood in line for is free", () => {
    const world = new Scheduling([{ key: "input.k", concurrency: 1 }]);
    world.connect("one", { slots: 1 });
    const first = world.arrive({ input: { k: "first" } });
    expect(world.start()).toEqual([first]);
    for (let k = 0; k < 10; k++) world.arrive({ input: { k } });
    expect(world.start()).toEqual([]);
    expect(world.window.laneCount).toBe(10);
    world.window.remove(() => true);
    world.end(first);
    expect(world.start()).toEqual([]);
    expect(world.window.laneCount).toBe(0);
  });

  test("nor while it never is, but for some, and those that have tasks keep their order", () => {
    const world = new Scheduling([{ key: "input.k", concurrency: 1 }]);
    world.connect("one", { slots: 1 });
    const first = world.arrive({ input: { k: "first" } });
    expect(world.start()).toEqual([first]);
    const staying = [0, 1, 2].map((k) => world.arrive({ input: { k: `stays ${k}` } }));
    for (let round = 0; round < 5; round++) {
      const gone = new Set<string>();
      for (let k = 0; k < MAX_EMPTIED_LANES / 2; k++)
        gone.add(world.arrive({ input: { k: `${k} of ${round}` } }));
      expect(world.start()).toEqual([]);
      world.window.remove(({ id }) => gone.has(id));
      world.schedule();
      expect(world.window.laneCount).toBeLessThanOrEqual(MAX_EMPTIED_LANES + staying.length);
    }
    let next = first;
    for (const id of staying) {
      world.end(next);
      expect(world.start()).toEqual([id]);
      next = id;
    }
  });
});
