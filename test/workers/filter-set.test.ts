/** Filters of a workflow: what the index leaves out could not have been met. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DeclaredFilterRow } from "../../database/definition-rows.ts";
import { type EventValues, valuesOfEvent } from "../../expressions/filter-condition.ts";
import { newId } from "../../protocol/ids.ts";
import type { Json } from "../../protocol/json.ts";
import { FilterSet } from "../../workers/matching/filter-set.ts";
import { judge } from "../../workers/matching/match-event.ts";
import { filterRow } from "../support/filter-row.ts";

const valuesOf = (payload: Json, scope?: string): EventValues =>
  valuesOfEvent({ id: newId(), key: "k", scope, payload, metadata: {} });

describe("a set of filters", () => {
  test("gives those that share a value with the event, and those that share none with anything", () => {
    const of = (id: string): DeclaredFilterRow =>
      filterRow(`input.customer == "${id}" && input.n > 1`);
    const [a, b, any] = [of("a"), of("b"), filterRow("input.n > 5")];
    const set = new FilterSet([a, b, any]);
    expect(set.candidates(valuesOf({ customer: "a", n: 2 }))).toEqual([a, any]);
    expect(set.candidates(valuesOf({ customer: "c", n: 2 }))).toEqual([any]);
    expect(set.candidates(valuesOf(null))).toEqual([any]);
  });

  test("finds a filter by the equality that fewest share", () => {
    const filters = Array.from({ length: 50 }, (_, number) =>
      filterRow(`input.state == "open" && input.id == ${number}`),
    );
    const set = new FilterSet(filters);
    expect(set.candidates(valuesOf({ state: "open", id: 7 }))).toEqual([filters[7]]);
  });

  test("gives a filter of several values once, and in the order of creation", () => {
    const listed = filterRow("input.n in [1, 2, 2, 1.0]");
    const [first, last] = [filterRow("true"), filterRow("input.n == 1")];
    expect(new FilterSet([last, listed, first]).candidates(valuesOf({ n: 1 }))).toEqual([
      listed,
      first,
      last,
    ]);
  });

  test("goes by the scope as by any value", () => {
    const filters = ["a", "b"].map((scope) => filterRow("true", { scope }));
    const set = new FilterSet(filters);
    expect(set.candidates(valuesOf(null, "b"))).toEqual([filters[1]]);
    expect(set.candidates(valuesOf(null))).toEqual([]);
  });

  test("does not go by what is equal in the filter's own payload", () => {
    const own = filterRow('payload.kind == "x" && input.n == payload.n', {
      payload: { kind: "x", n: 4 },
    });
    expect(new FilterSet([own]).candidates(valuesOf({ n: 4 }))).toEqual([own]);
  });

  test("forgets and changes filters", () => {
    const [a, b] = [filterRow("input.n == 1"), filterRow("input.n == 2")];
    const set = new FilterSet([a, b]);
    expect(set.candidates(valuesOf({ n: 1 }))).toEqual([a]);
    expect(set.delete(a.id)).toBe(true);
    expect(set.candidates(valuesOf({ n: 1 }))).toEqual([]);
    const changed = { ...filterRow("input.n == 3"), id: b.id };
    set.put(changed);
    expect(set.candidates(valuesOf({ n: 2 }))).toEqual([]);
    expect(set.candidates(valuesOf({ n: 3 }))).toEqual([changed]);
    expect(set.size).toBe(1);
  });
});

test("whatever filters and events there are, the met ones are the same with and without the index", () => {
  const field = fc.constantFrom("a", "b", "c.d", 'e["f"]');
  const literal = fc.constantFrom("1", "2", "1.0", '"1"', '"x"', "true", "-1", "0");
  const equality = fc.oneof(
    fc.tuple(field, literal).map(([path, value]) => `input.${path} == ${value}`),
    fc.tuple(literal, field).map(([value, path]) => `${value} == input.${path}`),
    fc
      .tuple(field, fc.array(literal, { minLength: 1, maxLength: 3 }))
      .map(([path, values]) => `input.${path} in [${values.join(", ")}]`),
    fc.constantFrom('event.scope == "s"', "has(input.a)", "input.a != 1", "payload.n == 1", "true"),
  );
  const expression = fc
    .tuple(fc.array(equality, { minLength: 1, maxLength: 3 }), fc.constantFrom(" && ", " || "))
    .map(([parts, operator]) => parts.map((part) => `(${part})`).join(operator));
  const scope = fc.constantFrom(undefined, "s", "t");
  const filter = fc.tuple(expression, scope);
  const value = fc.constantFrom<Json>(1, 2, -1, 0, -0, "1", "x", true, null, [], {});
  const payload = fc.record(
    {
      a: value,
      b: value,
      c: fc.oneof(value, fc.record({ d: value })),
      e: fc.oneof(value, fc.record({ f: value })),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.array(filter, { maxLength: 12 }), payload, scope, (drawn, input, ofEvent) => {
      const filters = drawn.map(([source, of]) =>
        filterRow(source, { payload: { n: 1 }, ...(of !== undefined && { scope: of }) }),
      );
      const values = valuesOf(input as Json, ofEvent);
      const isMet = (each: DeclaredFilterRow): boolean =>
        (each.scope === undefined || each.scope === ofEvent) && judge(each, values).isMatch;
      const found = new FilterSet(filters).candidates(values).filter(isMet);
      expect(found.map(({ id }) => id)).toEqual(filters.filter(isMet).map(({ id }) => id));
    }),
    { numRuns: 500 },
  );
});
