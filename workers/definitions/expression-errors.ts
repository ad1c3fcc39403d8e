/**
 * What is wrong with an expression of a definition, as a finding: its place in the definition, and in the
 * expression. Pure.
 */
import type { ExpressionError } from "../../expressions/errors.ts";
import type { FieldError } from "../../protocol/errors.ts";

export function expressionFinding(
  path: string,
  { code, message, position, excerpt }: ExpressionError,
): FieldError {
  const where = position && `line ${position.line}, column ${position.column}: `;
  return {
    path,
    message: `${where ?? ""}${message.replace(/\.$/, "")}`,
    code,
    ...(position && { position }),
    ...(excerpt !== undefined && { excerpt }),
  };
}
