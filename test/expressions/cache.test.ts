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
