/** A lane keeps its order, and nothing of what has left it. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { Lane } from "../../durable-objects/dispatcher/lane.ts";
import { readyTask } from "./transitions.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function pushAll(lane: Lane, from: number, count: number): void {
  for (let number = from; number < from + count; number++) lane.push(readyTask(String(number)));
}

test("tasks come out in the order in which they came, however many come meanwhile", () => {
  const lane = new Lane("action", 1);
  const shifted: (string | undefined)[] = [];
  for (let from = 0; from < 300; from += 3) {
    pushAll(lane, from, 3);
    shifted.push(lane.shift()?.id, lane.shift()?.id);
  }
  expect(lane.length).toBe(100);
  while (lane.length > 0) shifted.push(lane.shift()?.id);
  expect(shifted).toEqual(Array.from({ length: 300 }, (_, number) => String(number)));
  expect(lane.first).toBeUndefined();
});

test("another attempt comes first, after others have left", () => {
  const lane = new Lane("action", 1);
  pushAll(lane, 0, 3);
  lane.shift();
  lane.push(readyTask("again", "action", { attempt: 2 }));
  expect([...lane.tasks()].map(({ id }) => id)).toEqual(["again", "1", "2"]);
});

test("a task that has left its lane is not kept in memory by it", async () => {
  const lane = new Lane("action", 1);
  pushAll(lane, 0, 9);
  const left = Array.from({ length: 3 }, () => new WeakRef(lane.shift() ?? {}));
  await new Promise((resolve) => setImmediate(resolve)); // a turn lets go of what WeakRef has seen
  collectGarbage();
  expect(left.map((task) => task.deref())).toEqual([undefined, undefined, undefined]);
  expect(lane.length).toBe(6);
});
