/**
 * Says what the library has found, in Skein's codes and words. Its own messages about evaluations
 * quote the data: they never leave this file.
 */
import { EvaluationError, ParseError, TypeError as TypeCheckError } from "@marcbachmann/cel-js";

import type { ExpressionErrorCode } from "../protocol/errors.ts";
import { type ExpressionError, place, Refusal } from "./errors.ts";

const FAILED =
  "The operation failed on the data: a division by zero, a number out of range, " +
  "an index beyond the end, or a text that can't be converted. Ask for it first.";
const TYPES =
  "The data has a value of a type that this operation does not take. " +
  "Convert it with string(), int() or double(), or ask with type() first.";

/** By the library's code; what is not here has failed in another way. */
const EVALUATION: Record<string, [ExpressionErrorCode, string]> = {
  no_such_key: [
    "no_such_key",
    "The data has no such key. Ask with has() first, or use .? and orValue().",
  ],
  index_out_of_bounds: [
    "no_such_key",
    "The data has no such index. Ask with size() first, or use [?] and orValue().",
  ],
  ...Object.fromEntries(
    [
      "field_type_mismatch",
      "invalid_comprehension_range",
      "invalid_condition_type",
      "invalid_list_element_type",
      "invalid_logical_operand",
      "list_item_type_mismatch",
      "no_matching_overload",
      "no_such_overload",
      "optional_expected",
      "unsupported_type",
      "variable_type_mismatch",
    ].map((code) => [code, ["type_error", TYPES]] as const),
  ),
};

/** What an evaluation has thrown, without a word of the data in it. */
export function describeEvaluationFailure(thrown: unknown, source: string): ExpressionError {
  if (thrown instanceof Refusal) {
    return { code: thrown.code, message: thrown.message, ...place(source, thrown.range) };
  }
  if (thrown instanceof EvaluationError) {
    const [code, message] = EVALUATION[thrown.code] ?? ["evaluation_failed", FAILED];
    return { code, message, ...place(source, thrown.range) };
  }
  return { code: "evaluation_failed", message: FAILED };
}

/** What the parser or the type check has found; there is no data yet that it could quote. */
export function describeDefinitionFailure(
  thrown: unknown,
  source: string,
  variables: readonly string[],
): ExpressionError {
  if (thrown instanceof Refusal) {
    return { code: thrown.code, message: thrown.message, ...place(source, thrown.range) };
  }
  if (thrown instanceof ParseError) {
    const isLimit = thrown.code === "limit_exceeded";
    return {
      code: isLimit ? "too_complex" : "syntax_error",
      message: isLimit ? sayLimit(thrown.summary) : saySyntax(thrown.summary),
      ...place(source, thrown.range),
    };
  }
  if (thrown instanceof TypeCheckError) {
    const [code, message] = describeTypeError(thrown, variables);
    return { code, message, ...place(source, thrown.range) };
  }
  const everything = { start: 0, end: source.length };
  if (thrown instanceof RangeError) {
    // The parser recurses on ! and - without counting.
    return {
      code: "too_complex",
      message: "The expression is too deeply nested. Split it up.",
      ...place(source, everything),
    };
  }
  if (thrown instanceof Error && thrown.message.includes("overlaps")) {
    return {
      code: "type_error",
      message: "The type of a part can't be told, such as of what is in []. Wrap it in dyn().",
      ...place(source, everything),
    };
  }
  throw thrown;
}

const TOKENS: Record<string, string> = {
  EOF: "the end of the expression",
  NUMBER: "a number",
  STRING: "a string",
  BYTES: "bytes",
  BOOLEAN: "true or false",
  NULL: "null",
  IDENTIFIER: "a name",
  PLUS: "+",
  MINUS: "-",
  MULTIPLY: "*",
  DIVIDE: "/",
  MODULO: "%",
  EQ: "==",
  NE: "!=",
  LT: "<",
  LE: "<=",
  GT: ">",
  GE: ">=",
  AND: "&&",
  OR: "||",
  NOT: "!",
  IN: "in",
  LPAREN: "(",
  RPAREN: ")",
  LBRACKET: "[",
  RBRACKET: "]",
  LBRACE: "{",
  RBRACE: "}",
  DOT: ".",
  COMMA: ",",
  COLON: ":",
  QUESTION: "?",
};

const HINTS: Record<string, string> = {
  "=": " Write == to compare.",
  "&": " Write && for and.",
  "|": " Write || for or.",
};

function saySyntax(summary: string): string {
  const hint = HINTS[/^Unexpected character: '?(.)/.exec(summary)?.[1] ?? ""] ?? "";
  return `${summary.replace(/\b[A-Z]{2,}\b/g, (word) => TOKENS[word] ?? word)}.${hint}`;
}

const LIMITS: Record<string, string> = {
  maxAstNodes: "parts",
  maxDepth: "levels of nesting",
  maxListElements: "elements in one list",
  maxMapEntries: "entries in one map",
  maxCallArguments: "arguments in one call",
};

function sayLimit(summary: string): string {
  const [, limit = "", most = ""] = /^Exceeded (\w+) \((\d+)\)/.exec(summary) ?? [];
  return `An expression may have ${most} ${LIMITS[limit] ?? limit}. Split it up, or move it to a step.`;
}

function describeTypeError(
  error: TypeCheckError,
  variables: readonly string[],
): [ExpressionErrorCode, string] {
  const summary = error.summary.replaceAll(/google\.protobuf\.(\w+)/g, (_, type: string) =>
    type.toLowerCase(),
  );
  switch (error.code) {
    case "unknown_variable":
      return ["unknown_variable", `${summary}. There are: ${variables.join(", ")}.`];
    case "no_such_key":
      return [
        "unknown_variable",
        summary.replace("No such key: ", "There is no field ") + " here.",
      ];
    case "invalid_macro_argument":
      return [
        "type_error",
        `${summary}: has() takes a path of fields, such as has(input.customer.id).`,
      ];
    default:
      return [
        "type_error",
        `${summary}. Convert with string(), int() or double(), or compare values of one type.`,
      ];
  }
}
