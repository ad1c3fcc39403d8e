/**
 * Checks an input against its workflow's schema, whatever library made it (Standard Schema).
 * Stays synchronous where the schema is: the worker's path pays no extra turn for it.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { InvalidInputError } from "./errors.ts";

/** The input as the schema gives it back; throws `InvalidInputError` when it refuses. */
export function validateInput(
  workflow: string,
  schema: StandardSchemaV1 | undefined,
  input: unknown,
): unknown {
  if (schema === undefined) return input;
  const result = schema["~standard"].validate(input);
  if (result instanceof Promise) return result.then((settled) => accept(workflow, settled));
  return accept(workflow, result);
}

function accept(workflow: string, result: StandardSchemaV1.Result<unknown>): unknown {
  if (result.issues === undefined) return result.value;
  throw new InvalidInputError(
    workflow,
    result.issues.map((issue) => ({ path: pathText(issue.path), message: issue.message })),
  );
}

function pathText(path: StandardSchemaV1.Issue["path"]): string {
  let text = "";
  for (const segment of path ?? []) {
    const key = typeof segment === "object" ? segment.key : segment;
    text += typeof key === "number" ? `[${key}]` : text === "" ? String(key) : `.${String(key)}`;
  }
  return text;
}
