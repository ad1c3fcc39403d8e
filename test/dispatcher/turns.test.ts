/** Whose turn it is when a task turns out to have taken less than its lane has paid for, or more. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Heap } from "../../durable-objects/dispatcher/heap.ts";
import { Lane } from "../../durable-objects/dispatcher/lane.ts";
import { PLAIN } from "../../durable-objects/dispatcher/needs.ts";
import { Turns } from "../../durable-objects/dispatcher/turns.ts";
import { readyTask } from "./transitions.ts";

/** A lane that has paid so much, and has another task. */
function paidLane(turns: Turns, number: number, { paid = 0, weight = 1 } = {}): Lane {
  const lane = new Lane("action", number);
  for (const which of ["first", "second"]) {
    lane.push(readyTask(`${number} ${which}`, "action", { needs: { ...PLAIN, weight } }));
  }
  turns.join(lane);
  expect(turns.next()).toBe(lane);
  lane.shift();
  turns.pay(lane, paid);
  return lane;
}

/** All that have their turn, in order; each then waits for a thing. */
function blockAll(turns: Turns, on: string): Lane[] {
  const asked: Lane[] = [];
  for (let lane = turns.next(); lane !== undefined; lane = turns.next()) {
    asked.push(lane);
    turns.block(lane, on);
  }
  return asked;
}

describe("what was paid too much is given back", () => {
  test("to a lane that waits: it may come first now, and is asked at once", () => {
    const turns = new Turns();
    const dear = paidLane(turns, 1, { paid: 30, weight: 2 });
    const cheap = paidLane(turns, 2, { paid: 10 });
    expect(blockAll(turns, "bucket")).toEqual([cheap, dear]);
    turns.correct(dear, -12); // 15 less 6: as much as 9
    expect(turns.next()).toBe(dear);
    expect(turns.next()).toBeUndefined();
  });

  test("to a lane whose turn it is", () => {
    const turns = new Turns();
    const dear = paidLane(turns, 1, { paid: 30 });
    const cheap = paidLane(turns, 2, { paid: 10 });
    turns.correct(dear, -25);
    expect([turns.next(), turns.next()]).toEqual([dear, cheap]);
  });

  test("and asked for from one that has paid too little", () => {
    const turns = new Turns();
    const dear = paidLane(turns, 1, { paid: 30 });
    const cheap = paidLane(turns, 2, { paid: 10 });
    turns.correct(cheap, 25);
    expect([turns.next(), turns.next()]).toEqual([dear, cheap]);
  });

  test("to a lane that has nothing to start, also when it is another in memory by then", () => {
    for (const [given, isForgotten] of [
      [30, false],
      [30, true],
      [2, false],
      [2, true],
    ] as const) {
      const turns = new Turns();
      const gone = paidLane(turns, 1, { paid: 10 });
      turns.next();
      gone.shift();
      turns.pay(gone, 40); // it has paid 50, and nothing is left of it
      const other = paidLane(turns, 2, { paid: 35 });
      const back = isForgotten ? new Lane("action", 1) : gone;
      turns.correct(back, -given);
      back.push(readyTask("1 third", "action", { needs: PLAIN }));
      turns.join(back);
      const order = given === 30 ? [back, other] : [other, back];
      expect([turns.next(), turns.next()]).toEqual(order);
    }
  });
});

test("a heap gives back in order whatever was taken out of its middle", () => {
  const numbers = fc.array(fc.nat(50), { maxLength: 40 });
  fc.assert(
    fc.property(numbers, numbers, (pushed, removed) => {
      const heap = new Heap<number>((a, b) => a < b);
      const left = [...pushed];
      for (const number of pushed) heap.push(number);
      for (const number of removed) {
        heap.remove(number);
        if (left.includes(number)) left.splice(left.indexOf(number), 1);
      }
      const popped = Array.from({ length: heap.size }, () => heap.pop());
      expect(popped).toEqual(left.toSorted((a, b) => a - b));
    }),
  );
});
