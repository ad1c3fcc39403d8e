/** Waits that an event may have missed: asked about until that is certain, and nothing acts on them sooner. */
import { expect, test } from "vitest";
import {
  MAX_SETTLING,
  RESETTLE_MAX_MS,
  RESETTLE_MS,
  SETTLES_OF_ALL,
} from "../../durable-objects/dispatcher/limits.ts";
import { Settling } from "../../durable-objects/dispatcher/settling.ts";
import { runIdOf } from "../../protocol/ids.ts";

const task = (number: number): string =>
  `01890a5d-ac96-7001-8bcc-${number.toString(16).padStart(12, "0")}`;
const A = task(1);
const row = { t: A, r: runIdOf(A) };

test("a wait is asked about once, however often its timer is due, and again with what it was told", () => {
  const settling = new Settling();
  settling.add(A);
  settling.add(A);
  expect(settling.begin()).toEqual([row]);
  settling.add(A);
  expect(settling.begin()).toEqual([]);
  settling.answer(A, "7");
  expect(settling.rest(A)).toBe(RESETTLE_MS);
  expect(settling.begin()).toEqual([]);
  settling.add(A);
  expect(settling.begin()).toEqual([{ ...row, h: "7" }]);
});

test("it is asked about less and less often, and in the end with its own tenant's transactions in view", () => {
  const settling = new Settling();
  const rests: number[] = [];
  let last;
  for (let time = 0; time < 12; time++) {
    settling.add(A);
    [last] = settling.begin();
    expect(last?.f).toBe(time >= SETTLES_OF_ALL ? true : undefined);
    settling.answer(A, "7");
    rests.push(settling.rest(A));
  }
  expect(rests.slice(0, 3)).toEqual([RESETTLE_MS, 2 * RESETTLE_MS, 4 * RESETTLE_MS]);
  expect(rests.at(-1)).toBe(RESETTLE_MAX_MS);
});

test("so many are asked about together; the others have their turn when those are answered", () => {
  const settling = new Settling();
  const all = Array.from({ length: 2 * MAX_SETTLING + 1 }, (_, number) => task(number));
  for (const one of all) settling.add(one);
  const first = settling.begin();
  expect(first).toHaveLength(MAX_SETTLING);
  expect([settling.isFull, settling.begin()]).toEqual([true, []]);
  const [one, two, three] = first.map(({ t }) => t);
  settling.answer(one ?? "", null);
  settling.end(one ?? "");
  settling.answer(two ?? "", "7"); // what it may have missed is looked at meanwhile
  settling.refuse(three ?? "");
  expect(settling.begin().map(({ t }) => t)).toEqual(all.slice(MAX_SETTLING, MAX_SETTLING + 3));
  expect(settling.isFull).toBe(false);
});

test("what is to happen after it waits until it is settled; after one that isn't there nothing waits", () => {
  const settling = new Settling();
  const acts: string[] = [];
  settling.after(A, () => acts.push("at once"));
  settling.add(A);
  settling.begin();
  for (const word of ["one", "two"]) settling.after(A, () => acts.push(word));
  settling.answer(A, "7");
  expect([settling.isLast(A), settling.isAgain(A)]).toEqual([false, false]);
  settling.rest(A);
  settling.add(A);
  settling.begin();
  settling.answer(A, null);
  expect([settling.isLast(A), settling.isAgain(A)]).toEqual([true, true]);
  expect(acts).toEqual(["at once"]);
  settling.end(A);
  expect(acts).toEqual(["at once", "one", "two"]);
});
