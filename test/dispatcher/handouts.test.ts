/** Which handouts may go: a row is deleted only when every task of it has ended for good. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Handouts, type Settlement } from "../../durable-objects/dispatcher/handouts.ts";
import { MAX_OPEN_HANDOUTS } from "../../durable-objects/dispatcher/limits.ts";

test("a handout goes with the commit that ends its last task", () => {
  const handouts = new Handouts();
  handouts.add(1, "a");
  handouts.add(1, "b");
  const first = handouts.settle(["a"]);
  expect(first.settled).toEqual([]);
  handouts.land(first, 2);
  expect(handouts.settle(["b"]).settled).toEqual([1]);
});

test("a handout whose last tasks end in two commits at once goes with the next", () => {
  const handouts = new Handouts();
  handouts.add(1, "a");
  handouts.add(1, "b");
  const [one, two] = [handouts.settle(["a"]), handouts.settle(["b"])];
  expect([one.settled, two.settled]).toEqual([[], []]);
  handouts.land(two, 3);
  expect(handouts.hasEmptied).toBe(false);
  handouts.land(one, 2);
  expect(handouts.hasEmptied).toBe(true);
  expect(handouts.settle([]).settled).toEqual([1]);
  expect(handouts.hasEmptied).toBe(false);
});

test("a task that a later commit has handed out again stays in that one's row, whichever is heard of first", () => {
  const handouts = new Handouts();
  handouts.add(1, "a");
  handouts.add(1, "b");
  const parking = handouts.settle(["a"]);
  handouts.add(3, "a"); // commit 3 has taken it from the queue, where commit 2 has put it
  handouts.land(parking, 2);
  expect(handouts.settle([]).settled).toEqual([]);
  expect(handouts.settle(["a"]).settled).toEqual([3]);
  expect(handouts.settle(["b"]).settled).toEqual([1]);
});

test("a task that was carried, and that a later commit has handed out again, likewise", () => {
  const handouts = new Handouts();
  for (let seq = 1; seq <= MAX_OPEN_HANDOUTS + 1; seq++) handouts.add(seq, `task-${seq}`);
  const carrying = handouts.settle([]);
  const [task = ""] = carrying.carried;
  const parking = handouts.settle([task]);
  handouts.add(1_002, task);
  handouts.land(parking, 1_001);
  handouts.land(carrying, 1_000);
  const [, ...others] = carrying.carried;
  expect(handouts.settle(others).settled).toEqual([1_000]);
  expect(handouts.settle([task]).settled).toEqual([1_002]);
});

test("a commit that was refused leaves its handouts to be settled again", () => {
  const handouts = new Handouts();
  handouts.add(1, "a");
  const settlement = handouts.settle(["a"]);
  expect(settlement.settled).toEqual([1]);
  handouts.fail(settlement);
  expect(handouts.settle(["a"]).settled).toEqual([1]);
});

test("with too many open handouts the sparse ones are carried over into one", () => {
  const handouts = new Handouts();
  for (let seq = 1; seq <= MAX_OPEN_HANDOUTS + 1; seq++) handouts.add(seq, `task-${seq}`);
  const settlement = handouts.settle([]);
  expect(settlement.settled).toHaveLength(MAX_OPEN_HANDOUTS / 2);
  expect(settlement.carried).toHaveLength(MAX_OPEN_HANDOUTS / 2);
  handouts.land(settlement, 1_000);
  const ended = handouts.settle(settlement.carried);
  expect(ended.settled).toContain(1_000);
});

test("a row goes with the next commit when all that it carried has ended on the way", () => {
  const handouts = new Handouts();
  for (let seq = 1; seq <= MAX_OPEN_HANDOUTS + 1; seq++) handouts.add(seq, `task-${seq}`);
  const carrying = handouts.settle([]);
  handouts.land(handouts.settle(carrying.carried), 1_001);
  handouts.land(carrying, 1_000);
  expect(handouts.settle([]).settled).toEqual([1_000]);
});

test("a row whose commit hands out more than it carried stays", () => {
  const handouts = new Handouts();
  for (let seq = 1; seq <= MAX_OPEN_HANDOUTS + 1; seq++) handouts.add(seq, `task-${seq}`);
  const carrying = handouts.settle([]);
  handouts.land(handouts.settle(carrying.carried), 1_001);
  handouts.land(carrying, 1_000);
  handouts.add(1_000, "handed");
  expect(handouts.settle([]).settled).toEqual([]);
  expect(handouts.settle(["handed"]).settled).toEqual([1_000]);
});

interface Flight {
  settlement: Settlement;
  seq: number;
  /** What becomes of the tasks that it ends. */
  ends: "finish" | "queue" | "hand again";
  /** How many tasks it takes from the queue, and makes. */
  wanted: number;
  /** What it has handed out, once Postgres has done it: before it is heard of, and in any order. */
  handed?: string[];
}

/** What Postgres would hold: the rows, which of them each unfinished task is in, and the queue. */
class Model {
  rows = new Set<number>();
  rowOf = new Map<string, number>();
  queue = new Set<string>();
  #made = 0;

  execute(flight: Flight): void {
    const { settlement, seq, ends, wanted } = flight;
    const ended = settlement.ended.map(([task]) => task);
    for (const task of ended) {
      this.rowOf.delete(task);
      if (ends === "queue") this.queue.add(task);
    }
    const fromQueue = [...this.queue].slice(0, wanted);
    for (const task of fromQueue) this.queue.delete(task);
    const fresh = Array.from({ length: wanted }, () => `task-${this.#made++}`);
    flight.handed = [...fromQueue, ...fresh, ...(ends === "hand again" ? ended : [])];
    const { carried, settled } = settlement;
    const kept = carried.filter((task) => settled.includes(this.rowOf.get(task) ?? -1));
    for (const task of [...flight.handed, ...kept]) this.rowOf.set(task, seq);
    if (flight.handed.length + carried.length > 0) this.rows.add(seq);
    for (const gone of settled) this.rows.delete(gone);
  }

  /** Unfinished tasks that no row remembers. */
  get forgotten(): string[] {
    return [...this.rowOf].filter(([, seq]) => !this.rows.has(seq)).map(([task]) => task);
  }
}

test("no task is forgotten and no row stays, in whatever order commits take effect, are heard of and fail", () => {
  const step = fc.record({
    do: fc.constantFrom("hand", "finish", "queue", "hand again", "execute", "land", "refuse"),
    count: fc.integer({ min: 0, max: 5 }),
    pick: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 250, size: "max" }), (steps) => {
      const handouts = new Handouts();
      const model = new Model();
      const flights: Flight[] = [];
      const inHand: string[] = [];
      let seq = 0;
      const launch = (ended: string[], ends: Flight["ends"], wanted = 0): void => {
        flights.push({ settlement: handouts.settle(ended), seq: ++seq, ends, wanted });
      };
      const execute = (flight: Flight | undefined): void => {
        if (flight === undefined || flight.handed !== undefined) return;
        model.execute(flight);
        expect(model.forgotten).toEqual([]);
      };
      const land = (index: number): void => {
        const [flight] = flights.splice(index, 1);
        if (flight === undefined) return;
        execute(flight);
        const { settlement, handed = [] } = flight;
        handouts.land(settlement, flight.seq);
        for (const task of handed) handouts.add(flight.seq, task);
        inHand.push(...handed);
      };
      for (const { do: what, count, pick } of steps) {
        const index = pick % Math.max(1, flights.length);
        if (what === "land") land(index);
        else if (what === "execute") execute(flights[index]);
        else if (what === "refuse") {
          if (flights[index]?.handed !== undefined) continue;
          const [flight] = flights.splice(index, 1);
          if (flight === undefined) continue;
          handouts.fail(flight.settlement);
          inHand.push(...flight.settlement.ended.map(([task]) => task));
        } else if (flights.length < 2) {
          if (what === "hand") launch([], "finish", count);
          else launch(inHand.splice(pick % Math.max(1, inHand.length), count), what);
        }
      }
      while (flights.length > 0) land(0);
      for (let left = model.queue.size; left > 0; left--) {
        launch([], "finish", 1);
        land(0);
      }
      launch(inHand.splice(0), "finish");
      land(0);
      launch([], "finish"); // rows that two commits emptied between them
      land(0);
      expect([...model.rows]).toEqual([]);
    }),
    { numRuns: 300 },
  );
});

test("a handout is not deleted while a task that came after an overtaken one is in hand", () => {
  const handouts = new Handouts();
  handouts.add(5, "of a cancelled run");
  handouts.end("of a cancelled run");
  handouts.add(5, "of another run");
  expect(handouts.settle([]).settled).not.toContain(5);
});

test("the row of a commit that was sent twice is emptied, and never deleted", () => {
  const handouts = new Handouts();
  handouts.add(1, "a");
  handouts.haunt(1);
  handouts.haunt(2); // which handed out nothing
  expect(handouts.bury()).toEqual([2]);
  const settlement = handouts.settle(["a"]);
  expect(settlement.settled).toEqual([]);
  handouts.land(settlement, 3);
  expect(handouts.hasEmptied).toBe(false);
  expect(handouts.bury()).toEqual([1]);
  handouts.unbury([1]); // that commit was refused
  expect(handouts.bury()).toEqual([1]);
  expect(handouts.hasUnburied).toBe(false);
});

test("a row is not carried while a commit in flight takes a task out of it", () => {
  const handouts = new Handouts();
  handouts.add(1, "parked");
  handouts.add(1, "stays");
  const parking = handouts.settle(["parked"]);
  for (let seq = 2; seq <= MAX_OPEN_HANDOUTS + 1; seq++) {
    for (const part of ["a", "b", "c"]) handouts.add(seq, `${seq}${part}`);
  }
  const other = handouts.settle([]);
  expect(other.carried).not.toEqual([]);
  expect(other.settled).not.toContain(1);
  handouts.land(other, 100);
  handouts.land(parking, 99);
  for (let seq = 200; seq <= 200 + MAX_OPEN_HANDOUTS; seq++) handouts.add(seq, `${seq}`);
  expect(handouts.settle([]).carried).toContain("stays");
});
