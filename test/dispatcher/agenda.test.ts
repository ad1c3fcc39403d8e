/** Timers in memory: the soonest of those in Postgres, none of them late. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { TimerRow } from "../../database/rows.ts";
import { Agenda } from "../../durable-objects/dispatcher/agenda.ts";
import { AGENDA_PAGE, MAX_AGENDA } from "../../durable-objects/dispatcher/limits.ts";

function timer(id: string, d: number, k: TimerRow["k"] = "retry"): TimerRow {
  return { id, k, d };
}

test("what is due is taken once, and the next moment is known", () => {
  const agenda = new Agenda();
  agenda.add([timer("late", 300), timer("soon", 100), timer("also", 100)]);
  expect(agenda.nextDue()).toBe(100);
  expect(agenda.take(99)).toEqual([]);
  expect(agenda.take(100).map(({ id }) => id)).toEqual(["soon", "also"]);
  expect(agenda.take(100)).toEqual([]);
  expect(agenda.nextDue()).toBe(300);
});

test("a timer that is set again is one timer", () => {
  const agenda = new Agenda();
  agenda.add([timer("a", 100), timer("a", 100, "timeout")]);
  agenda.add([timer("a", 200)]);
  expect(agenda.take(1_000)).toHaveLength(2);
});

test("a full page means that there may be more: they are asked for when it is used up", () => {
  const agenda = new Agenda();
  agenda.read([timer("a", 1), timer("b", 2)], 2);
  expect(agenda.isExhausted).toBe(false);
  agenda.add([timer("beyond", 3)]); // in Postgres as well, and read with the next page
  agenda.take(2);
  expect(agenda.isExhausted).toBe(true);
  agenda.ask();
  agenda.read([timer("beyond", 3)], 2);
  expect(agenda.take(3).map(({ id }) => id)).toEqual(["beyond"]);
  expect(agenda.isExhausted).toBe(false);
});

test("it never holds more than it may, and what it forgets is what comes last", () => {
  const agenda = new Agenda();
  agenda.add(Array.from({ length: MAX_AGENDA + 1 }, (_, index) => timer(`${index}`, index)));
  const taken = agenda.take(MAX_AGENDA);
  expect(taken).toHaveLength(MAX_AGENDA / 2);
  expect(Math.max(...taken.map(({ d }) => d))).toBe(MAX_AGENDA / 2 - 1);
  expect(agenda.isExhausted).toBe(true);
});

test("whatever is set and read, every timer is taken at its time", () => {
  const moments = fc.array(fc.nat({ max: 500 }), { maxLength: 60 });
  fc.assert(
    fc.property(moments, fc.integer({ min: 1, max: 5 }), (dues, page) => {
      const agenda = new Agenda();
      const stored = new Map(dues.map((d, index) => [`${index}`, timer(`${index}`, d)]));
      const soonest = (): TimerRow[] =>
        [...stored.values()].toSorted((a, b) => a.d - b.d).slice(0, page);
      agenda.read(soonest(), page);
      for (let now = 0; now <= 500; now++) {
        do {
          if (agenda.isExhausted) agenda.read(soonest(), page);
          for (const { id } of agenda.take(now)) stored.delete(id);
        } while (agenda.isExhausted && [...stored.values()].some(({ d }) => d <= now));
        expect([...stored.values()].filter(({ d }) => d <= now)).toEqual([]);
      }
    }),
    { numRuns: 50 },
  );
  expect(AGENDA_PAGE).toBeLessThan(MAX_AGENDA);
});

test("a timer set after a page was read is not late because of later ones still in memory", () => {
  const agenda = new Agenda();
  agenda.add([1, 2, 3, 4].map((n) => ({ id: `run-${n}`, k: "timeout" as const, d: n * 1_000 })));
  // Postgres lists the two soonest, as after a lost answer or a nudge.
  agenda.read(
    [1, 2].map((n) => ({ id: `run-${n}`, k: "timeout" as const, d: n * 1_000 })),
    2,
  );
  agenda.take(2_000);
  agenda.add([{ id: "task", k: "retry", d: 2_500 }]); // dropped: it is after the page
  expect(agenda.isExhausted || agenda.nextDue() <= 2_500).toBe(true);
});

test("a timer set while a page is on its way is not forgotten when the page says it is all", () => {
  const agenda = new Agenda();
  agenda.read([{ id: "run", k: "timeout", d: 1_000 }], 1);
  agenda.take(1_000); // exhausted: the next flight asks for a page, and Postgres lists nothing
  expect(agenda.isExhausted).toBe(true);
  agenda.ask();
  agenda.add([{ id: "task", k: "retry", d: 2_500 }]); // of another flight, which lands first
  agenda.read([], 1);
  expect(agenda.isExhausted || agenda.nextDue() <= 2_500).toBe(true);
});
