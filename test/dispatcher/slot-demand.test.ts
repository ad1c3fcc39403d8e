/** What lanes that wait for a slot would take: held against a count of all that wait. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Lane } from "../../durable-objects/dispatcher/lane.ts";
import { PLAIN } from "../../durable-objects/dispatcher/needs.ts";
import { Session } from "../../durable-objects/dispatcher/roster.ts";
import { hasChanged } from "../../durable-objects/dispatcher/slot-demand.ts";
import { Turns } from "../../durable-objects/dispatcher/turns.ts";
import { MAX_WANTED_SLOTS } from "../../protocol/slot-frames.ts";
import { readyTask, sessionRecord } from "./transitions.ts";

const SLOTS = [1, 2, 5];

function laneOf(number: number, action: string): Lane {
  const lane = new Lane(action, number);
  const slots = SLOTS[number % SLOTS.length] ?? 1;
  const placing = { ...PLAIN.placing, slots };
  lane.push(readyTask(`${action} ${number} 0`, action, { needs: { ...PLAIN, placing } }));
  return lane;
}

function more(lane: Lane, name: string): void {
  const { first } = lane;
  if (first) lane.push({ ...first, id: name });
}

test("it is what all waiting tasks take together, whatever has come, gone or begun meanwhile", () => {
  const what = fc.constantFrom("join", "more", "remove", "open", "begin", "forget");
  const steps = fc.array(fc.tuple(what, fc.nat(5)), { minLength: 10, maxLength: 80 });
  fc.assert(
    fc.property(steps, (all) => {
      const turns = new Turns();
      const lanes = Array.from({ length: 6 }, (_, number) =>
        laneOf(number, number < 4 ? "a" : "b"),
      );
      const session = new Session(sessionRecord("s", { actions: ["a"] }), new Set());
      let hasRoom = false;
      const turn = (): void => {
        for (let lane = turns.next(); lane; lane = turns.next()) {
          if (hasRoom && lane.first) {
            hasRoom = false;
            lane.shift();
            turns.pay(lane, 1);
          } else if (lane.first) turns.blockOnSlot(lane, lane.number === 3);
          else turns.leave(lane);
        }
      };
      for (const [index, [step, number]] of all.entries()) {
        const lane = lanes[number];
        if (lane === undefined) continue;
        if (step === "join") turns.join(lane);
        else if (step === "more") {
          more(lane, `more ${index}`);
          turns.join(lane);
        } else if (step === "remove") lane.remove(() => true);
        else if (step === "forget") turns.countSlots(false);
        else {
          hasRoom = step === "begin";
          turns.openSlots(new Set(["a", "b"]));
        }
        turn();
        const waiting = lanes.filter(
          ({ standing, action }) => standing === "blocked" && action === "a",
        );
        const expected = waiting.reduce(
          (sum, { length, placing }) => sum + length * (placing?.slots ?? 0),
          0,
        );
        const wanted = turns.countSlots(true)?.of(session, 5);
        expect(wanted?.slots).toBe(Math.min(expected, MAX_WANTED_SLOTS));
        const least = waiting
          .filter(({ length }) => length > 0)
          .map(({ placing }) => placing?.slots);
        if (expected > 0) expect(least).toContain(wanted?.least);
        else expect(wanted?.least).toBe(0);
      }
    }),
  );
});

test("the first task is that of those whose like has not begun for longest", () => {
  const turns = new Turns();
  const session = new Session(sessionRecord("s", { actions: ["a"] }), new Set());
  const demand = turns.countSlots(true);
  const [small, large] = [laneOf(0, "a"), laneOf(2, "a")];
  more(small, "second");
  for (const lane of [small, large]) {
    turns.join(lane);
    turns.next();
    turns.blockOnSlot(lane, false);
  }
  expect(demand?.of(session, 9)).toEqual({ slots: 7, least: 1 });
  expect(demand?.of(session, 4)).toEqual({ slots: 2, least: 1 }); // the large one is none for it
  turns.openSlots(new Set(["a"]));
  expect(turns.next()).toBe(small);
  small.shift();
  turns.pay(small, 1);
  for (let lane = turns.next(); lane; lane = turns.next()) turns.blockOnSlot(lane, false);
  expect(demand?.of(session, 9)).toEqual({ slots: 6, least: 5 });
});

test("changes are told of once, when they are of half or more", () => {
  const turns = new Turns();
  const demand = turns.countSlots(true);
  const lane = laneOf(0, "a");
  turns.join(lane);
  turns.next();
  turns.blockOnSlot(lane, false);
  const told: number[] = [];
  for (let count = 1; count <= 9; count++) {
    if ((demand?.takeChanged().size ?? 0) > 0) told.push(count);
    more(lane, `more ${count}`);
    turns.join(lane);
  }
  expect(told).toEqual([1, 2, 4, 8]);
  lane.remove(() => true);
  expect(demand?.takeChanged()).toEqual(new Set(["a"]));
  expect(demand?.takeChanged()).toEqual(new Set());
  expect([hasChanged(4, 3), hasChanged(4, 2), hasChanged(0, 1), hasChanged(0, 0)]).toEqual([
    false,
    true,
    true,
    false,
  ]);
});
