/**
 * Zod's findings as a client needs them: where in the request, and what to do about it. Each message
 * reads on from its path: `runs[3].workflow` "is missing: it must be a string". Pure.
 */
import type { z } from "zod";
import type { FieldError } from "../../protocol/errors.ts";

const MAX_SHOWN = 60; // characters of a wrong value that an error repeats

const KINDS: Record<string, string> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "an array",
  object: "an object",
  record: "an object",
};

/** @param value What the schema saw. @param where Its part of the request: body, query or address. */
export function fieldErrors(error: z.core.$ZodError, value: unknown, where: string): FieldError[] {
  const found = error.issues.flatMap((issue): FieldError[] => {
    if (issue.code !== "unrecognized_keys") {
      const message = explain(issue, valueAt(value, issue.path));
      return [{ path: pathText(issue.path), message }];
    }
    const what = where === "query" ? "parameter" : "field";
    const message = `is not a ${what} of this call: GET /docs lists them`;
    return issue.keys.map((key) => ({ path: pathText([...issue.path, key]), message }));
  });
  return found;
}

function explain(issue: z.core.$ZodIssue, value: unknown): string {
  switch (issue.code) {
    case "invalid_type": {
      const kind = KINDS[issue.expected] ?? issue.expected;
      return value === undefined
        ? `is missing: it must be ${kind}`
        : `must be ${kind}${not(value)}`;
    }
    case "invalid_value": {
      const choices = issue.values.map(String).join(", ");
      return value === undefined
        ? `is missing: it must be one of ${choices}`
        : `must be one of ${choices}${not(value)}`;
    }
    case "too_small":
      return isOwn(issue.message) ?? bound("least", issue.minimum, issue.origin, value);
    case "too_big":
      return isOwn(issue.message) ?? bound("most", issue.maximum, issue.origin, value);
    case "invalid_key":
      return `is not a name to use here: it ${issue.issues.map((inner) => explain(inner, issue.path.at(-1))).join(", ")}`;
    default:
      return issue.message;
  }
}

/** A message that a schema gives itself; zod's own begin with a capital. */
function isOwn(message: string): string | undefined {
  return /^[a-z]/.test(message) ? message : undefined;
}

function bound(
  which: "least" | "most",
  limit: number | bigint,
  origin: string,
  value: unknown,
): string {
  if (origin === "string") return `must have at ${which} ${limit} characters${length(value)}`;
  if (origin === "array") return `must have at ${which} ${limit} items${length(value)}`;
  return `must be at ${which} ${limit}${not(value)}`;
}

function length(value: unknown): string {
  const isCounted = typeof value === "string" || Array.isArray(value);
  return isCounted ? `, and has ${value.length}` : "";
}

function not(value: unknown): string {
  if (Array.isArray(value)) return ", not an array";
  if (typeof value === "object" && value !== null) return ", not an object";
  const text = JSON.stringify(value) ?? "";
  return text.length > MAX_SHOWN ? "" : `, not ${text}`;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let found = value;
  for (const part of path) {
    if (typeof found !== "object" || found === null) return undefined;
    found = Object.hasOwn(found, part) ? Reflect.get(found, part) : undefined;
  }
  return found;
}

/** `runs[3].input` */
export function pathText(path: readonly PropertyKey[]): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else text += text === "" ? String(part) : `.${String(part)}`;
  }
  return text;
}
