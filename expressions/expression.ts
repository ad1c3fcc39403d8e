/**
 * A compiled expression. Evaluating it never throws, never waits, and ends within its allowance; its
 * errors never quote the data.
 */
import type { Json } from "../protocol/json.ts";
import { describeEvaluationFailure } from "./descriptions.ts";
import { type EqualityClause, findEqualityClauses, findEqualPaths } from "./equality-clauses.ts";
import type { ExpressionError } from "./errors.ts";
import { type ResultKind, type ResultValues, toResult } from "./json-results.ts";
import type { Program } from "./program.ts";
import { withoutStackTraces } from "./stack-traces.ts";

export type Evaluation<Kind extends ResultKind = ResultKind> =
  | { ok: true; value: ResultValues[Kind] }
  | { ok: false; error: ExpressionError };

/** A condition's answer. One that fails is not met, and says why. */
export interface Match {
  isMatch: boolean;
  error?: ExpressionError;
}

export class Expression<Kind extends ResultKind = ResultKind> {
  readonly source: string;
  readonly #program: Program;
  readonly #kind: Kind;

  constructor(source: string, program: Program, kind: Kind) {
    this.source = source;
    this.#program = program;
    this.#kind = kind;
  }

  /** `values` has the data of each variable that the expression was compiled with. */
  evaluate(values: Readonly<Record<string, Json>>): Evaluation<Kind> {
    return withoutStackTraces(() => {
      try {
        const value = this.#program.run(values);
        return { ok: true, value: toResult(value, this.#kind, this.#program.allowance) };
      } catch (thrown) {
        return { ok: false, error: describeEvaluationFailure(thrown, this.source) };
      }
    });
  }

  matches(this: Expression<"bool">, values: Readonly<Record<string, Json>>): Match {
    const evaluation = this.evaluate(values);
    return evaluation.ok
      ? { isMatch: evaluation.value }
      : { isMatch: false, error: evaluation.error };
  }

  /** The equalities without which a condition does not match: what to index it by. */
  equalityClauses(this: Expression<"bool">): EqualityClause[] {
    return findEqualityClauses(this.#program.root);
  }

  /** The pairs of paths whose values must be equal for a condition to match. */
  equalPaths(this: Expression<"bool">): [string[], string[]][] {
    return findEqualPaths(this.#program.root);
  }
}
