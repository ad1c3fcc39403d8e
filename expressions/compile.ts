/**
 * From source to an expression that can be evaluated, or to what is wrong with it. Everything that
 * can be found without data is found here, when the expression is stored.
 */
import { describeDefinitionFailure } from "./descriptions.ts";
import { languageFor, type Variables } from "./environment.ts";
import type { ExpressionError } from "./errors.ts";
import { Expression } from "./expression.ts";
import { checkResultType, type ResultKind } from "./json-results.ts";
import { Program } from "./program.ts";
import { withoutStackTraces } from "./stack-traces.ts";

/** What an expression may name, and what it must answer. Declared once, as a constant. */
export interface Signature<Kind extends ResultKind = ResultKind> {
  readonly variables: Variables;
  readonly result: Kind;
}

export type Compilation<Kind extends ResultKind = ResultKind> =
  | { ok: true; expression: Expression<Kind> }
  | { ok: false; error: ExpressionError };

export function compileExpression<Kind extends ResultKind>(
  source: string,
  { variables, result }: Signature<Kind>,
): Compilation<Kind> {
  const language = languageFor(variables);
  return withoutStackTraces(() => {
    try {
      const program = new Program(source, language);
      checkResultType(program.type, result, source);
      return { ok: true, expression: new Expression(source, program, result) };
    } catch (thrown) {
      return {
        ok: false,
        error: describeDefinitionFailure(thrown, source, Object.keys(variables)),
      };
    }
  });
}
