/**
 * A step's `retryIf`: whether an attempt that failed may be followed by another. Checked when the
 * workflow is registered, asked by the shard. The same names for both.
 */
import type { TaskError } from "../protocol/errors.ts";
import type { ExpressionCache } from "./cache.ts";
import type { Signature } from "./compile.ts";
import type { ExpressionError } from "./errors.ts";

export const RETRY_CONDITION = {
  variables: {
    error: { code: "string", name: "string", message: "string" },
    attempt: "number",
  },
  result: "bool",
} as const satisfies Signature;

export interface RetryVerdict {
  isAllowed: boolean;
  /** Why the condition had nothing to say: then it does not stand in the way. */
  error?: ExpressionError;
}

/** A condition that can't be evaluated allows the retry: the step's number of retries still bounds it. */
export function judgeRetry(
  conditions: ExpressionCache<"bool">,
  condition: string,
  { code, name, message }: TaskError,
  attempt: number,
): RetryVerdict {
  const compiled = conditions.compile(condition);
  if (!compiled.ok) return { isAllowed: true, error: compiled.error };
  const evaluated = compiled.expression.evaluate({ error: { code, name, message }, attempt });
  return evaluated.ok
    ? { isAllowed: evaluated.value }
    : { isAllowed: true, error: evaluated.error };
}
