/** What is read page by page: a few subjects together, each to its end, none forgotten. */
import { expect, test } from "vitest";
import { Paging } from "../../durable-objects/dispatcher/paging.ts";

const MOST = 8;
const create = (): Paging<string> => new Paging(MOST, (subject) => `first of ${subject}`);

function begun(...subjects: string[]): Paging<string> {
  const paging = create();
  for (const subject of subjects) paging.add(subject);
  paging.begin();
  return paging;
}

test("a few subjects are read together, the others when there is room", () => {
  const paging = create();
  const subjects = Array.from({ length: MOST + 2 }, (_, index) => `${index}`);
  for (const subject of [...subjects, ...subjects]) paging.add(subject);
  expect(paging.begin()).toEqual(subjects.slice(0, MOST).map((subject) => `first of ${subject}`));
  expect(paging.begin()).toEqual([]);
  expect(paging.isFull).toBe(true);
  paging.end("0");
  paging.add("1"); // its timer has been read again
  expect(paging.begin()).toEqual([`first of ${MOST}`]);
  paging.end("1");
  expect(paging.begin()).toEqual([`first of ${MOST + 1}`]);
  expect(paging.isFull).toBe(false);
});

test("a page is turned when all that it has set in motion is durable, and never sooner", () => {
  const paging = begun("a");
  expect(paging.turn("a", "second", 2)).toBeUndefined();
  expect(paging.settle("a")).toBeUndefined();
  expect(paging.settle("a")).toEqual({ page: "second" });
  expect(paging.turn("a", undefined, 1)).toBeUndefined();
  expect(paging.settle("a")).toEqual({ over: "a" });
});

test("a page that sets nothing in motion is turned at once", () => {
  const paging = begun("a");
  expect(paging.turn("a", "second", 0)).toEqual({ page: "second" });
  expect(paging.turn("a", undefined, 0)).toEqual({ over: "a" });
});

test("what comes after all that is there waits for that, and for nothing that comes later", () => {
  const paging = create();
  const acts: string[] = [];
  paging.afterAll(() => acts.push("at once"));
  paging.add("a");
  paging.add("b");
  paging.afterAll(() => acts.push("after a and b"));
  paging.begin();
  paging.add("c");
  paging.afterAll(() => acts.push("after c"));
  paging.end("b");
  expect(acts).toEqual(["at once"]);
  paging.end("a");
  expect(acts).toEqual(["at once", "after a and b"]);
  paging.end("c");
  expect(acts).toEqual(["at once", "after a and b", "after c"]);
});
