/** What a limit's keys and amounts may say, and what becomes of those that can't be evaluated. */
import { expect, test } from "vitest";
import { ExpressionCache } from "../../expressions/cache.ts";
import { compileExpression } from "../../expressions/compile.ts";
import {
  AMOUNT,
  evaluateAmount,
  evaluateKey,
  KEY,
  RUN_AMOUNT,
  RUN_KEY,
} from "../../expressions/limit-expressions.ts";
import { MAX_KEY_LENGTH } from "../../protocol/limits.ts";

const keys = new ExpressionCache(KEY, 10);
const amounts = new ExpressionCache(AMOUNT, 10);
const DATA = {
  input: { customer: "acme", id: 7, ratio: 0.25, isBig: true, tags: ["a"], tokens: 1200, zero: 0 },
  metadata: { plan: "gold" },
  parents: { count: { tokens: 90 } },
};

test.each([
  ["input.customer", "acme"],
  ["input.id", "7"],
  ["input.ratio", "0.25"],
  ["int(input.id) + 1", "8"],
  ["size(input.tags)", "1"],
  ['input.customer + "/" + metadata.plan', "acme/gold"],
  ["parents.count.tokens", "90"],
  ['input.isBig ? "big" : input.customer', "big"],
  ['""', ""],
])("the key %s counts as %s", (key, value) => {
  expect(evaluateKey(keys, key, DATA)).toEqual({ ok: true, value });
});

test.each([
  ["input.nobody", /no key|no such|nobody/],
  ["metadata.tenant", /no key|no such|tenant/],
  ["input.isBig", /must answer a string or number/],
  ["input.tags", /must answer a string or number/],
  ["dyn(null)", /must answer a string or number/],
])("the key %s can't be evaluated, and it is said why", (key, message) => {
  expect(evaluateKey(keys, key, DATA)).toEqual({
    ok: false,
    message: expect.stringMatching(message),
  });
});

test("a key may have 200 characters and no more", () => {
  const of = (length: number) => ({ ...DATA, input: "x".repeat(length) });
  expect(evaluateKey(keys, "input", of(MAX_KEY_LENGTH)).ok).toBe(true);
  expect(evaluateKey(keys, "input", of(MAX_KEY_LENGTH + 1))).toEqual({
    ok: false,
    message: "It has 201 characters; a key has at most 200.",
  });
});

test.each([
  ["3", 3],
  ["input.tokens", 1200],
  ["input.tokens / 1000", 1.2],
  ["parents.count.tokens + 1", 91],
])("the amount %s is %s", (amount, value) => {
  expect(evaluateAmount(amounts, amount, DATA)).toEqual({ ok: true, value });
});

test.each([
  ["input.zero", "It answers 0; it must be more than 0 and at most 1000000000000."],
  ["-1", "It answers -1; it must be more than 0 and at most 1000000000000."],
  ["1e13", expect.stringContaining("at most 1000000000000")],
  ["input.customer", expect.stringContaining("must answer a number")],
  ["input.nobody", expect.any(String)],
  ["input.tokens / input.zero", expect.stringContaining("not finite")],
])("the amount %s is none, and it is said why", (amount, message) => {
  expect(evaluateAmount(amounts, amount, DATA)).toEqual({ ok: false, message });
});

test.each(["input.a > 3", "[1]", "inptu.customer", "input.", "null"])(
  "the key %s is refused when it is stored",
  (key) => {
    expect(compileExpression(key, KEY).ok).toBe(false);
  },
);

test.each(['"a"', "input.a > 3", "string(input.a)"])(
  "the amount %s is refused when it is stored",
  (amount) => {
    expect(compileExpression(amount, AMOUNT).ok).toBe(false);
  },
);

test("a workflow's limits know no parents", () => {
  expect(compileExpression("parents.a", RUN_KEY)).toMatchObject({
    ok: false,
    error: { code: "unknown_variable" },
  });
  expect(compileExpression("parents.a", RUN_AMOUNT).ok).toBe(false);
  expect(compileExpression("input.a", RUN_KEY).ok).toBe(true);
});
