/** What an event starts: workflows that listen to its key, and their filters. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { newId } from "../../protocol/ids.ts";
import type { Json } from "../../protocol/json.ts";
import { MAX_FILTER_FAILURES } from "../../protocol/limits.ts";
import { FilterSet } from "../../workers/matching/filter-set.ts";
import { compileTriggers, type Listener, matchEvent } from "../../workers/matching/match-event.ts";
import { filterRow } from "../support/filter-row.ts";

interface Named extends Listener {
  id: string;
}

const listener = (id: string, ...events: string[]): Named => ({ id, events, filterSets: [] });

const eventOf = (key: string, payload: Json = null, scope?: string) => ({
  id: newId(),
  key,
  payload,
  metadata: {},
  scope,
});

const matched = (key: string, ...listeners: Named[]): string[] =>
  matchEvent(eventOf(key), compileTriggers(listeners)).starts.map((start) => start.listener.id);

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

describe("a workflow with filters", () => {
  const large = filterRow("input.amount > payload.least", { payload: { least: 100 } });
  const paid = filterRow('input.state == "paid"');
  const orders = (...sets: FilterSet[]): Named => ({
    ...listener("order", "order:*"),
    filterSets: sets,
  });
  const start = (payload: Json, workflow = orders(new FilterSet([large]), new FilterSet([paid]))) =>
    matchEvent(eventOf("order:placed", payload), compileTriggers([workflow]));

  test("is started once for each filter that an event meets", () => {
    const { starts } = start({ amount: 120, state: "paid" });
    expect(starts.map(({ filter }) => filter)).toEqual([large, paid]);
    expect(start({ amount: 120, state: "open" }).starts).toMatchObject([{ filter: large }]);
  });

  test("is not started by an event that meets none", () => {
    expect(start({ amount: 1, state: "open" })).toEqual({ starts: [], failures: [] });
  });

  test("is started by every event when all of its sets are empty", () => {
    const { starts } = start(null, orders(new FilterSet(), new FilterSet()));
    expect(starts).toMatchObject([{ listener: { id: "order" } }]);
    expect(starts[0]?.filter).toBeUndefined();
  });

  test("is not started by a filter that can't be evaluated, which is told with its place", () => {
    const { starts, failures } = start({ state: "paid" });
    expect(starts).toMatchObject([{ filter: paid }]);
    expect(failures).toMatchObject([
      { filter: large.id, error: { code: "no_such_key", position: { line: 1, column: 7 } } },
    ]);
  });

  test("tells of the first failures only", () => {
    const filters = Array.from({ length: MAX_FILTER_FAILURES + 5 }, () => filterRow("input.x > 1"));
    expect(start({}, orders(new FilterSet(filters))).failures).toHaveLength(MAX_FILTER_FAILURES);
  });

  test("knows the event's key, id, scope and metadata", () => {
    const all = filterRow(
      'event.key == "order:placed" && event.scope == "acme" && size(event.id) == 36 && metadata.by == "me"',
    );
    const event = { ...eventOf("order:placed", {}, "acme"), metadata: { by: "me" } };
    const workflow = orders(new FilterSet([all]));
    expect(matchEvent(event, compileTriggers([workflow])).starts).toHaveLength(1);
    expect(matchEvent({ ...event, scope: undefined }, compileTriggers([workflow])).starts).toEqual(
      [],
    );
  });
});
