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

/** What Postgres would hold: the rows, and which tasks have not ended. */
class Model {
  rows = new Map<number, Set<string>>();
  unfinished = new Set<string>();

  land({ ended, settled, carried }: Settlement, seq: number, handed: string[]): void {
    for (const task of ended) this.unfinished.delete(task);
    for (const task of handed) this.unfinished.add(task);
    for (const gone of settled) this.rows.delete(gone);
    const tasks = [...handed, ...carried];
    if (tasks.length > 0) this.rows.set(seq, new Set(tasks));
  }

  /** Unfinished tasks that no row remembers. */
  get forgotten(): string[] {
    const kept = new Set([...this.rows.values()].flatMap((tasks) => [...tasks]));
    return [...this.unfinished].filter((task) => !kept.has(task));
  }
}

test("no task is forgotten and no row stays, in whatever order commits land and fail", () => {
  const step = fc.record({
    do: fc.constantFrom("hand", "end", "again", "land", "refuse"),
    count: fc.integer({ min: 0, max: 5 }),
    pick: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 250 }), (steps) => {
      const handouts = new Handouts();
      const model = new Model();
      const flights: { settlement: Settlement; seq: number; handed: string[] }[] = [];
      const inHand: string[] = [];
      let seq = 0;
      let made = 0;
      const launch = (ended: string[], handed: string[]): void => {
        flights.push({ settlement: handouts.settle(ended), seq: ++seq, handed });
      };
      const land = (index: number): void => {
        const [flight] = flights.splice(index, 1);
        if (flight === undefined) return;
        model.land(flight.settlement, flight.seq, flight.handed);
        handouts.land(flight.settlement, flight.seq);
        for (const task of flight.handed) handouts.add(flight.seq, task);
        inHand.push(...flight.handed);
        expect(model.forgotten).toEqual([]);
      };
      const fresh = (count: number) => Array.from({ length: count }, () => `task-${made++}`);
      for (const { do: what, count, pick } of steps) {
        if (what === "land") land(pick % Math.max(1, flights.length));
        else if (what === "refuse") {
          const [flight] = flights.splice(pick % Math.max(1, flights.length), 1);
          if (flight) {
            handouts.fail(flight.settlement);
            inHand.push(...flight.settlement.ended);
          }
        } else if (flights.length < 2) {
          const start = pick % Math.max(1, inHand.length);
          const ended = what === "hand" ? [] : inHand.splice(start, count);
          // A lost attempt ends, and its task is handed out again by the same commit.
          launch(ended, what === "again" ? ended : what === "hand" ? fresh(count) : []);
        }
      }
      while (flights.length > 0) land(0);
      launch(inHand.splice(0), []);
      land(0);
      launch([], []); // rows that two commits emptied between them
      land(0);
      expect([...model.rows.keys()]).toEqual([]);
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
