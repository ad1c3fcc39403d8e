/** A task that needs a slot and units: in which line it waits, when others wait for more units than there are. */
import { describe, expect, test } from "vitest";
import type { Session } from "../../durable-objects/dispatcher/roster.ts";
import { Scheduling } from "./scheduling.ts";

describe("a task that comes before those that wait for more of its limit than there is", () => {
  /** One unit is left; a task waits for three, and one that comes before it for a unit and a slot. */
  function begin(): { world: Scheduling; worker: Session; task: string } {
    const world = new Scheduling([
      { key: "'all'", rate: [{ units: 5, perMs: 1_000 }], units: "input.u" },
    ]);
    const worker = world.connect("one", { slots: 1 });
    world.arrive({ input: { u: 4 } });
    for (const first of world.start()) world.end(first);
    world.arrive({ input: { u: 3 } });
    expect(world.start()).toEqual([]);
    world.roster.credit(worker, 0, 1);
    const task = world.arrive({ input: { u: 1 }, action: "b", priority: 3 });
    expect(world.start()).toEqual([]);
    expect(world.start()).toEqual([]);
    return { world, worker, task };
  }

  test("starts as soon as there is a slot for it, not when the shard looks again", () => {
    const { world, worker, task } = begin();
    world.roster.credit(worker, 1, 1);
    expect(world.start()).toEqual([task]);
  });

  test("waits for its slot and nothing else, however often the shard looks", () => {
    const { world, task } = begin();
    const lane = world.window.laneOf(task) ?? expect.fail();
    for (let looks = 0; looks < 3; looks++) {
      world.start();
      expect(lane.blockedOn).toBe("slot b");
    }
  });
});
