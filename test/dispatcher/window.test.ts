/** Ready tasks in memory: taken in order, removed with their runs, and gone when queued too long. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { ReadyWindow } from "../../durable-objects/dispatcher/window.ts";
import type { ReadyTask } from "../../durable-objects/dispatcher/lane.ts";
import { type Need, PLAIN } from "../../durable-objects/dispatcher/needs.ts";
import { countId } from "../../durable-objects/dispatcher/permits.ts";
import { readyTask } from "./transitions.ts";

function shift(window: ReadyWindow, action: string): ReadyTask | undefined {
  return window.shift(window.lane({ action, lane: 0 }));
}

test("tasks of a cancelled run are gone, and the others keep their order", () => {
  const window = new ReadyWindow();
  for (const id of ["a", "b", "c", "d"]) window.add(readyTask(id, "act", { run: `run-${id}` }));
  shift(window, "act");
  const removed = window.remove(({ run }) => run === "run-c");
  expect(removed.map(({ id }) => id)).toEqual(["c"]);
  expect(window.size).toBe(2);
  expect([shift(window, "act"), shift(window, "act")].map((task) => task?.id)).toEqual(["b", "d"]);
  expect(window.bytes).toBe(0);
});

test("a task that has been queued for too long is taken out at its moment", () => {
  const window = new ReadyWindow();
  window.add(readyTask("patient", "act"));
  window.add(readyTask("hasty", "act", { expiresAt: 50 }));
  window.add(readyTask("hastier", "other", { expiresAt: 20 }));
  expect(window.nextExpiry()).toBe(20);
  expect(window.expire(19)).toEqual([]);
  expect(window.expire(20).map(({ id }) => id)).toEqual(["hastier"]);
  expect(window.nextExpiry()).toBe(50);
  expect(window.expire(60).map(({ id }) => id)).toEqual(["hasty"]);
  expect(window.nextExpiry()).toBe(Number.POSITIVE_INFINITY);
  expect(window.find({ action: "act", lane: 0 })?.first?.id).toBe("patient");
});

test("a removed task may come again", () => {
  const window = new ReadyWindow();
  window.add(readyTask("a"));
  window.remove(() => true);
  window.add(readyTask("a"));
  expect(window.size).toBe(1);
  expect(shift(window, "a")?.id).toBe("a");
});

test("of overlapping words about the queue the soonest counts, until it has been asked", () => {
  const window = new ReadyWindow();
  window.noteQueueExpiry(200);
  window.noteQueueExpiry(100);
  window.noteQueueExpiry(300);
  expect(window.queueExpiry).toBe(100);
  expect(window.takeQueueExpiry(99)).toBe(false);
  expect(window.takeQueueExpiry(100)).toBe(true);
  expect(window.takeQueueExpiry(1_000)).toBe(false);
});

test("whatever is added, taken and removed, its size and bytes are those of what is left", () => {
  const move = fc.oneof(
    fc.record({ kind: fc.constant("add" as const), n: fc.nat({ max: 30 }) }),
    fc.record({ kind: fc.constant("shift" as const), n: fc.nat({ max: 2 }) }),
    fc.record({ kind: fc.constant("remove" as const), n: fc.nat({ max: 30 }) }),
  );
  fc.assert(
    fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
      const window = new ReadyWindow();
      const left = new Map<string, string[]>(["0", "1", "2"].map((action) => [action, []]));
      for (const { kind, n } of moves) {
        const line = left.get(`${n % 3}`) ?? [];
        if (kind === "add" && !line.includes(`${n}`)) line.push(`${n}`);
        if (kind === "add") window.add(readyTask(`${n}`, `${n % 3}`));
        else if (kind === "shift")
          expect(shift(window, `${n}`)?.id).toBe(left.get(`${n}`)?.shift());
        else {
          window.remove(({ id }) => id === `${n}`);
          left.set(
            `${n % 3}`,
            line.filter((id) => id !== `${n}`),
          );
        }
        const count = [...left.values()].flat().length;
        expect([window.size, window.bytes]).toEqual([count, 10 * count]);
      }
    }),
  );
});

test("the tasks of a run that holds its limits leave every lane they are in, and no others do", () => {
  const limit = { limit: "l", key: "k", units: 1, strategy: "queue", own: undefined } as const;
  const ofRun: Need = { ...limit, id: countId("l", "k"), isOfRun: true };
  const window = new ReadyWindow();
  const add = (id: string, run: string, lane: number): void =>
    void window.add(readyTask(id, "act", { run, needs: { ...PLAIN, needs: [ofRun], lane } }));
  for (const [index, lane] of [1, 2, 1, 3].entries()) {
    add(`mine ${index}`, "mine", lane);
    add(`yours ${index}`, "yours", lane);
  }
  window.shift(window.lane({ action: "act", lane: 3 }));
  const removed = window.removeLimited("mine").map(({ id }) => id);
  expect(removed.toSorted()).toEqual(["mine 0", "mine 1", "mine 2"]);
  expect(window.removeLimited("mine")).toEqual([]);
  expect([...window.lanes()].flatMap((lane) => [...lane.tasks()].map(({ run }) => run))).toEqual(
    Array.from({ length: 4 }, () => "yours"),
  );
  expect(window.size).toBe(4);
});
