/** The equalities an expression can be indexed by: found where they are sound, and only there. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { equalityKey, valueAt } from "../../expressions/equality-clauses.ts";
import type { Json } from "../../protocol/json.ts";
import { compile } from "./evaluating.ts";

const clauses = (source: string) => compile(source, "bool").equalityClauses();

describe("an equality is found", () => {
  test("of a path with a text, a bool or a number, either way round", () => {
    expect(clauses('input.status == "paid"')).toEqual([
      { path: ["input", "status"], keys: ["spaid"] },
    ]);
    expect(clauses("true == input.a.b")).toEqual([{ path: ["input", "a", "b"], keys: ["btrue"] }]);
    expect(clauses("input.a == -7")).toEqual([{ path: ["input", "a"], keys: ["n-7"] }]);
    expect(clauses('input["odd key"].b == 1.5')).toEqual([
      { path: ["input", "odd key", "b"], keys: ["n1.5"] },
    ]);
    expect(clauses("other == 1")).toEqual([{ path: ["other"], keys: ["n1"] }]);
  });

  test("of a path with one of a list", () => {
    expect(clauses('input.a in ["x", 1, true]')).toEqual([
      { path: ["input", "a"], keys: ["sx", "n1", "btrue"] },
    ]);
    expect(clauses("input.a in []")).toEqual([{ path: ["input", "a"], keys: [] }]);
  });

  test("in each of the conjuncts on top", () => {
    expect(clauses('has(input.a) && (input.a == 1 && input.b > 2) && input.c == "x"')).toEqual([
      { path: ["input", "a"], keys: ["n1"] },
      { path: ["input", "c"], keys: ["sx"] },
    ]);
  });
});

test.each([
  "input.a == null",
  "input.a in [1, null]",
  "input.a in [1, other.b]",
  "input.a == other.b",
  "input.a != 1",
  "!(input.a == 1)",
  "input.a == 1 || input.b == 2",
  "input.a == 1 ? true : false",
  "input.list.exists(x, x.a == 1)",
  "cel.bind(x, input.a, x == 1)",
  "input.list[0] == 1",
  "input[other.key] == 1",
  "input.?a.orValue(1) == 1",
  "input.a == 9007199254740993",
  'type(input.a) == int && string(input.a) == "1"',
])("no equality is found in %s", (source) => {
  expect(clauses(source)).toEqual([]);
});

test("values have the same key when they are equal, and else another", () => {
  expect(equalityKey(7)).toBe(equalityKey(7.0));
  expect(equalityKey(-0)).toBe(equalityKey(0));
  expect(equalityKey(7)).not.toBe(equalityKey("7"));
  expect(equalityKey(true)).not.toBe(equalityKey("true"));
  expect([null, [], {}, undefined].map(equalityKey)).toEqual(Array(4).fill(undefined));
});

const NAMES = ["a", "b", "constructor"];
const VALUES: Json[] = ["x", "1", "", 1, 0, -1, 1.5, 2 ** 60, true, false, null];

const path = fc
  .tuple(fc.constantFrom("input", "other"), fc.array(fc.constantFrom(...NAMES), { maxLength: 2 }))
  .map(([variable, keys]) => variable + keys.map((key) => `["${key}"]`).join(""));
const literal = fc.constantFrom(...VALUES.map((value) => JSON.stringify(value)), "1.0", "-0.0");
const { expression } = fc.letrec<{ expression: string }>((tie) => {
  const both = fc.tuple(tie("expression"), tie("expression"));
  return {
    expression: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.tuple(path, literal).map(([left, right]) => `${left} == dyn(${right})`),
      fc.tuple(path, literal).map(([left, right]) => `${left} == ${right}`),
      fc.tuple(literal, path).map(([left, right]) => `${left} == ${right}`),
      fc.tuple(path, fc.array(literal)).map(([left, list]) => `${left} in [${list.join(", ")}]`),
      path.map((left) => `${left} != 1`),
      both.map(([left, right]) => `(${left}) && (${right})`),
      both.map(([left, right]) => `(${left}) && (${right})`),
      both.map(([left, right]) => `(${left}) || (${right})`),
      tie("expression").map((inner) => `!(${inner})`),
    ),
  };
});
const scalar = fc.constantFrom(...VALUES);
const object = fc.dictionary(
  fc.constantFrom(...NAMES),
  fc.oneof(scalar, fc.dictionary(fc.constantFrom(...NAMES), scalar), fc.array(scalar)),
);
const data = fc.oneof(object, scalar);

test("an expression is never true where one of its equalities doesn't hold", () => {
  let skips = 0;
  fc.assert(
    fc.property(expression, fc.array(fc.tuple(data, data), { minLength: 8 }), (source, events) => {
      const condition = compile(source, "bool");
      const found = condition.equalityClauses();
      for (const [input, other] of events) {
        const values = { input: input as Json, other: other as Json };
        const isSkipped = found.some(({ path, keys }) => {
          const key = equalityKey(valueAt(values, path));
          return key === undefined || !keys.includes(key);
        });
        if (!isSkipped) continue;
        skips++;
        expect(condition.matches(values).isMatch, source).toBe(false);
      }
    }),
    { numRuns: 3_000 },
  );
  expect(skips).toBeGreaterThan(5_000);
});
