/**
 * Checks an expression of a step as it will be evaluated, and the names of parents in it. Pure.
 */
import { type Compilation, compileExpression, type Signature } from "../../expressions/compile.ts";
import { namingParents } from "../../expressions/step-condition.ts";

export function compileOfStep(
  source: string,
  signature: Signature<"bool">,
  parents: readonly string[],
): Compilation<"bool"> {
  const compiled = compileExpression(source, signature);
  if (!compiled.ok) return compiled;
  const variables = namingParents(signature.variables, parents);
  const named = compileExpression(source, { variables, result: signature.result });
  // Whatever else it finds is due to the names being fixed, as in `"pay" in parents`.
  if (named.ok || named.error.code !== "unknown_variable") return compiled;
  const which = parents.length === 0 ? "none" : parents.map((name) => `"${name}"`).join(", ");
  const message = `${named.error.message} Parents of the step: ${which}.`;
  return { ok: false, error: { ...named.error, message } };
}
