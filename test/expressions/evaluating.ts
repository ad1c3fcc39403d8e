/** Shortcuts for tests of expressions: one signature, one event of parsed JSON. */
import { expect } from "vitest";
import { compileExpression } from "../../expressions/compile.ts";
import type { ExpressionError } from "../../expressions/errors.ts";
import type { Expression } from "../../expressions/expression.ts";
import type { ResultKind } from "../../expressions/json-results.ts";
import type { Json } from "../../protocol/json.ts";

export const VARIABLES = { input: "any", other: "any" } as const;

export function compile<Kind extends ResultKind>(source: string, result: Kind): Expression<Kind> {
  const compilation = compileExpression(source, { variables: VARIABLES, result });
  if (!compilation.ok) throw new Error(JSON.stringify(compilation.error));
  return compilation.expression;
}

/** What a definition is refused for; fails the test when it is accepted. */
export function refusal(source: string, result: ResultKind = "any"): ExpressionError {
  const compilation = compileExpression(source, { variables: VARIABLES, result });
  expect(compilation, source).toMatchObject({ ok: false });
  if (compilation.ok) throw new Error("unreachable");
  return compilation.error;
}

/** The value, or the code of the error, whether it is found in the definition or in the data. */
export function answer(source: string, input: Json = null, other: Json = null): Json {
  const compilation = compileExpression(source, { variables: VARIABLES, result: "any" });
  if (!compilation.ok) return `error ${compilation.error.code}`;
  const evaluation = compilation.expression.evaluate({ input, other });
  return evaluation.ok ? evaluation.value : `error ${evaluation.error.code}`;
}
