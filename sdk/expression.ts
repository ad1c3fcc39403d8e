/**
 * Expressions as they are written: CEL, of which only the server knows what is right. What can't be an
 * expression at all is refused where it is written.
 */
import { MAX_EXPRESSION_LENGTH } from "../protocol/limits.ts";
import { DefinitionError } from "./errors.ts";

/** `what` names it in errors: retryIf of step "a", say; `example` is one that could stand there. */
export function checkedExpression(source: string, what: string, example: string): string {
  if (typeof source !== "string" || source.trim() === "") {
    throw new DefinitionError(`${what} is not CEL: give a text such as '${example}'`);
  }
  if (source.length <= MAX_EXPRESSION_LENGTH) return source;
  throw new DefinitionError(
    `${what} has ${source.length} characters: use at most ${MAX_EXPRESSION_LENGTH}`,
  );
}
