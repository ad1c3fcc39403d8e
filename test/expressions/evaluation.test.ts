/** Evaluating: results as JSON, errors as values, and never a word of the data in them. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileExpression } from "../../expressions/compile.ts";
import type { Json } from "../../protocol/json.ts";
import { answer, compile, VARIABLES } from "./evaluating.ts";

describe("a condition", () => {
  test("that fails is not met, and says why", () => {
    const condition = compile("input.amount > 100", "bool");
    expect(condition.matches({ input: { amount: 101 }, other: null })).toEqual({ isMatch: true });
    expect(condition.matches({ input: { amount: 99 }, other: null })).toEqual({ isMatch: false });
    expect(condition.matches({ input: {}, other: null })).toMatchObject({
      isMatch: false,
      error: { code: "no_such_key", position: { start: 6, end: 12 }, excerpt: expect.any(String) },
    });
  });

  test("that answers no bool is not met, and says so", () => {
    expect(compile("input.a", "bool").matches({ input: { a: "true" }, other: null })).toMatchObject(
      {
        isMatch: false,
        error: { code: "wrong_result" },
      },
    );
  });
});

describe("a result", () => {
  test("is of the kind that is asked for", () => {
    const values = { input: { id: "c1", n: 3 }, other: null };
    expect(compile("input.id", "string").evaluate(values)).toEqual({ ok: true, value: "c1" });
    expect(compile("input.n", "number").evaluate(values)).toEqual({ ok: true, value: 3 });
    expect(compile("size(input.id)", "number").evaluate(values)).toEqual({ ok: true, value: 2 });
    expect(compile("input.n", "string").evaluate(values)).toMatchObject({
      error: { code: "wrong_result", message: expect.stringContaining("string()") },
    });
  });

  test("is JSON, whatever CEL has made of it", () => {
    expect(answer('{"a": [1, 2u, 1.5], "b": null}')).toEqual({ a: [1, 2, 1.5], b: null });
    expect(answer('timestamp("2026-01-01T00:00:00Z")')).toBe("2026-01-01T00:00:00Z");
    expect(answer('[duration("1.5s"), optional.of(1), optional.none()]')).toEqual([
      "1.5s",
      1,
      null,
    ]);
    expect(answer("1.0 / 0.0")).toBe("error evaluation_failed");
    expect(answer("9007199254740993")).toBe("error evaluation_failed");
    expect(answer("type(1)")).toBe("error wrong_result");
    expect(answer('b"abc"')).toBe("error wrong_result");
  });
});

test("an evaluation leaves the data and stack traces as they were", () => {
  const input = { list: [{ a: 1 }], b: "x" };
  const before = structuredClone(input);
  const limit = Error.stackTraceLimit;
  expect(answer("input.list.map(i, i.a) + [2]", input)).toEqual([1, 2]);
  expect(answer("input.zzz", input)).toBe("error no_such_key");
  expect(answer("((", input)).toBe("error syntax_error");
  expect(input).toEqual(before);
  expect(Error.stackTraceLimit).toBe(limit);
});

test("an error never quotes the data", () => {
  const secret = "hunter2-hunter2";
  const input: Json = { secret, list: [secret], map: { [secret]: 1 }, number: 987_654_321 };
  const sources = [
    "input.zzz",
    "input[input.secret]",
    "input.list[input.number]",
    "int(input.secret)",
    "bool(input.secret)",
    "duration(input.secret)",
    "timestamp(input.secret)",
    "input.secret.matches(input.secret + '(')",
    "input.secret + 1",
    "input.secret ? 1 : 2",
    "input.secret && true",
    "input.secret.substring(int(input.number))",
    "input.secret.all(x, x == 1)",
    "int(input.number) * 9223372036854775807",
    "timestamp(int(input.number) * 100000)",
    'timestamp("2026-01-01T00:00:00Z").getHours(input.secret)',
    "size(input.number)",
    "optional.none().value()",
    "[input.secret, 1].join()",
  ];
  for (const source of sources) {
    const evaluation = compile(source, "any").evaluate({ input, other: null });
    expect(evaluation, source).toMatchObject({ ok: false });
    const text = JSON.stringify(evaluation).replaceAll("input.secret", "");
    expect(text, source).not.toMatch(/hunter2|987654321/);
  }
});

const PIECES = fc.constantFrom(
  ..."input other .a .b [0] ['k'] .?a == != < + - * / % && || ! ( ) ? : , 1 2.5 'x' true null in".split(
    " ",
  ),
  ...".exists(x, .all(x, .map(x, .filter(x, x ) has( size( int( string( type( cel.bind(y, y".split(
    " ",
  ),
  ...".matches('^x') .split(' ') .contains('x') { } [ ] optional.of( .orValue(".split(" "),
);

test("neither compiling nor evaluating ever throws", () => {
  fc.assert(
    fc.property(
      fc.array(PIECES, { maxLength: 12 }).map((pieces) => pieces.join(" ")),
      fc.jsonValue(),
      fc.jsonValue(),
      (source, input, other) => {
        const compilation = compileExpression(source, { variables: VARIABLES, result: "any" });
        if (!compilation.ok) return compilation.error.position !== undefined;
        const values = { input: input as Json, other: other as Json };
        const first = compilation.expression.evaluate(values);
        // A compiled expression keeps no state: it answers the same again.
        expect(compilation.expression.evaluate(values)).toEqual(first);
        return first.ok || first.error.message.length > 0;
      },
    ),
    { numRuns: 5_000 },
  );
});
