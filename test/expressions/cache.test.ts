/** Compiled expressions are kept as long as they are used, and no more of them than there may be. */
import { expect, test } from "vitest";
import { ExpressionCache } from "../../expressions/cache.ts";
import { VARIABLES } from "./evaluating.ts";

const SIGNATURE = { variables: VARIABLES, result: "bool" } as const;

test("an expression is compiled once, and again after the least recently used made room", () => {
  const cache = new ExpressionCache(SIGNATURE, 2);
  const first = cache.compile("input.a == 1");
  const second = cache.compile("input.a == 2");
  expect(cache.compile("input.a == 1")).toBe(first);

  cache.compile("input.a == 3");
  expect(cache.size).toBe(2);
  expect(cache.compile("input.a == 1")).toBe(first);
  expect(cache.compile("input.a == 2")).not.toBe(second);
});

test("the least recently used make room for as many characters as there may be", () => {
  const cache = new ExpressionCache(SIGNATURE, 10, { characters: 25 });
  const first = cache.compile("input.a == 1");
  cache.compile("input.a == 2");
  expect(cache.compile("input.a == 1")).toBe(first);
  cache.compile("input.a == 3");
  expect(cache.size).toBe(2);
  expect(cache.compile("input.a == 1")).toBe(first);
  const long = cache.compile("input.a == 1 || input.a == 2 || input.a == 3");
  expect(cache.size).toBe(1); // it alone is too long, and is kept all the same
  expect(cache.compile("input.a == 1 || input.a == 2 || input.a == 3")).toBe(long);
});

test("where more are asked for in turn than can be kept, most of those that are kept stay", () => {
  const cache = new ExpressionCache(SIGNATURE, 8, { admission: 4 });
  const sources = Array.from({ length: 10 }, (_, number) => `input.a == ${number}`);
  const before = sources.map((source) => cache.compile(source));
  const again = sources.map((source) => cache.compile(source));
  const kept = again.filter((compilation, index) => compilation === before[index]);
  expect(kept.length).toBeGreaterThanOrEqual(6); // in turn, without it, none would be
  expect(cache.size).toBe(8);
});

test("a refusal is kept like an expression", () => {
  const cache = new ExpressionCache(SIGNATURE, 2);
  const refused = cache.compile("input.a ==");
  expect(refused).toMatchObject({ ok: false, error: { code: "syntax_error" } });
  expect(cache.compile("input.a ==")).toBe(refused);
});

test("caches of other variables know nothing of each other", () => {
  const cache = new ExpressionCache({ variables: { error: "any" }, result: "bool" }, 2);
  expect(cache.compile("error.code == 1").ok).toBe(true);
  expect(new ExpressionCache(SIGNATURE, 2).compile("error.code == 1")).toMatchObject({
    error: { code: "unknown_variable" },
  });
});
