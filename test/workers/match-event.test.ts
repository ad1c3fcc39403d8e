/** Which workflows an event starts. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileTriggers, matchEvent } from "../../workers/matching/match-event.ts";

interface Listener {
  id: string;
  events: string[];
}

const listener = (id: string, ...events: string[]): Listener => ({ id, events });

const matched = (key: string, ...listeners: Listener[]): string[] =>
  matchEvent(key, compileTriggers(listeners)).map(({ id }) => id);

describe("an event", () => {
  test("starts the workflow that declares exactly its key", () => {
    const listeners = [listener("a", "order:placed"), listener("b", "order")];
    expect(matched("order:placed", ...listeners)).toEqual(["a"]);
    expect(matched("order:placed:late", ...listeners)).toEqual([]);
    expect(matched("ORDER", ...listeners)).toEqual([]);
  });

  test("starts the workflow that declares a prefix of its key, also the whole of it", () => {
    const user = listener("a", "user:*");
    expect(matched("user:created", user)).toEqual(["a"]);
    expect(matched("user:", user)).toEqual(["a"]);
    expect(matched("user", user)).toEqual([]);
    expect(matched("a:user:created", user)).toEqual([]);
  });

  test("starts the workflow that listens to everything", () => {
    expect(matched("whatever", listener("a", "*"))).toEqual(["a"]);
  });

  test("starts each of several workflows", () => {
    const listeners = [listener("a", "user:created"), listener("b", "user:*"), listener("c", "*")];
    expect(matched("user:created", ...listeners).toSorted()).toEqual(["a", "b", "c"]);
  });

  test("starts a workflow once, however many of its keys fit", () => {
    expect(
      matched("user:created", listener("a", "user:created", "user:*", "*", "user:created")),
    ).toEqual(["a"]);
  });

  test("starts nothing when nobody listens, also when its key is what every object has", () => {
    expect(matched("constructor")).toEqual([]);
    expect(matched("__proto__", listener("a", "x"))).toEqual([]);
  });
});

test("what matches is what the keys say one by one", () => {
  const key = fc.string({ unit: fc.constantFrom("a", "b", ":"), minLength: 1, maxLength: 4 });
  const pattern = fc.tuple(key, fc.constantFrom("", "*")).map((parts) => parts.join(""));
  const patterns = fc.array(fc.array(pattern, { maxLength: 4 }), { maxLength: 6 });
  fc.assert(
    fc.property(key, patterns, (published, all) => {
      const listeners = all.map((events, index) => listener(String(index), ...events));
      const fits = (each: string): boolean =>
        each.endsWith("*") ? published.startsWith(each.slice(0, -1)) : each === published;
      const expected = listeners.filter(({ events }) => events.some(fits)).map(({ id }) => id);
      expect(matched(published, ...listeners).toSorted()).toEqual(expected.toSorted());
    }),
  );
});
