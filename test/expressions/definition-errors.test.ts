/** What is wrong with an expression is said when it is stored: what, where, and what to do. */
import { describe, expect, test } from "vitest";
import { compileExpression } from "../../expressions/compile.ts";
import type { ExpressionErrorCode } from "../../protocol/errors.ts";
import { refusal } from "./evaluating.ts";

/** An expression, the code it is refused with, the text under the error, what the message says. */
type Case = [source: string, code: ExpressionErrorCode, at: string, says: string];

const CASES: Case[] = [
  ['input.s === "x"', "syntax_error", "=", "Write == to compare"],
  ["input.a & input.b", "syntax_error", "&", "Write && for and"],
  ['"unterminated', "syntax_error", '"unterminated', "Unterminated string"],
  ["(input.a", "syntax_error", "", "Expected ), got the end of the expression"],
  ["", "syntax_error", "", "the end of the expression"],
  ["inptu.amount > 1", "unknown_variable", "inptu", "There are: input, other."],
  ["input.exists(i, j == 1)", "unknown_variable", "j", "Unknown variable: j"],
  ["frobnicate(input)", "unknown_function", "frobnicate(input)", "no function frobnicate()"],
  ["input.data.json()", "unknown_function", "input.data.json()", "no function json()"],
  ['"a" + 1 == "a1"', "type_error", '"a" + 1', "string + int"],
  ['input.a ? 1 : "x"', "type_error", 'input.a ? 1 : "x"', "same type"],
  ["size(1)", "type_error", "size(1)", "size(int)"],
  ["1 && true", "type_error", "1 && true", "bool operands"],
  ['has(input["a"].b)', "type_error", 'input["a"]', "takes a path of fields"],
  ['duration("1s") > timestamp("2026-01-01T00:00:00Z")', "type_error", ">", "duration > timestamp"],
  ["[].all(e, e > 0)", "type_error", "[].all(e, e > 0)", "Wrap it in dyn()"],
  ['input.matches("a(b")', "bad_pattern", '"a(b"', "missing closing )"],
  ['matches(input, "(?=x)")', "bad_pattern", '"(?=x)"', "no look-around"],
  ['input.matches("x{1001}")', "bad_pattern", '"x{1001}"', "no repeats over 1000"],
  ['timestamp("tomorrow") > input', "bad_literal", 'timestamp("tomorrow")', "2026-02-28T12:00:00Z"],
  ['duration("5 minutes")', "bad_literal", 'duration("5 minutes")', "1h30m"],
  ['int("seven")', "bad_literal", 'int("seven")', "can't convert"],
];

test.each(CASES)("%s is refused with %s", (source, code, at, says) => {
  const error = refusal(source);
  expect(error).toMatchObject({ code, message: expect.stringContaining(says) });
  expect(source.slice(error.position?.start, error.position?.end)).toContain(at);
});

describe("a result of another type", () => {
  test("is refused when it can be told", () => {
    expect(refusal('"a"', "bool")).toMatchObject({ code: "wrong_result" });
    expect(refusal("input.a == 1", "string").message).toContain("string, and answers bool");
    expect(refusal("[1]", "number").message).toContain("size()");
  });

  test("is not refused when only the data can tell", () => {
    for (const result of ["bool", "string", "number", "any"] as const) {
      expect(compileExpression("input.a", { variables: { input: "any" }, result }).ok).toBe(true);
    }
  });
});

describe("a place", () => {
  test("is a line and a column, with a caret under it", () => {
    expect(refusal('input.a == 1\n  && inptu.b == "x"')).toMatchObject({
      position: { start: 18, end: 23, line: 2, column: 6 },
      excerpt: '  && inptu.b == "x"\n     ^',
    });
  });

  test("is shown with what surrounds it when the line is long", () => {
    const { excerpt = "", position } = refusal(
      `${"true && ".repeat(30)}inptu${" && true".repeat(30)}`,
    );
    const [line = "", caret = ""] = excerpt.split("\n");
    expect(position?.column).toBe(241);
    expect(line.length).toBeLessThanOrEqual(100);
    expect(line.slice(caret.indexOf("^"))).toMatch(/^inptu/);
  });

  test("on the first line may come after an empty one", () => {
    expect(refusal("\ninptu").position).toMatchObject({ line: 2, column: 1 });
    expect(refusal("\n").position).toMatchObject({ line: 2, column: 1 });
  });
});

describe("a variable of known fields", () => {
  const signature = {
    variables: { event: { key: "string", attempt: "number", from: { id: "string" } } },
    result: "bool",
  } as const;

  test("is checked field by field when the expression is stored", () => {
    expect(compileExpression('event.kee == "x"', signature)).toMatchObject({
      error: { code: "unknown_variable", message: "There is no field kee here." },
    });
    expect(compileExpression("event.from.id > 3", signature)).toMatchObject({
      error: { code: "type_error" },
    });
  });

  test("is read like any other", () => {
    const compilation = compileExpression(
      'event.from.id == "a" && event.attempt + 1 == 3',
      signature,
    );
    const values = { event: { key: "k", attempt: 2, from: { id: "a" } } };
    expect(compilation.ok && compilation.expression.evaluate(values)).toEqual({
      ok: true,
      value: true,
    });
  });

  test("is answered with the fields that the data has", () => {
    const compilation = compileExpression("event", { ...signature, result: "any" });
    const values = { event: { key: "k", from: { id: "a" }, unknown: 1 } };
    expect(compilation.ok && compilation.expression.evaluate(values)).toEqual({
      ok: true,
      value: { key: "k", from: { id: "a" } },
    });
  });
});
