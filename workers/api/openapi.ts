/**
 * What every route says of itself in the OpenAPI document, and how a request that its schema refuses
 * is answered.
 */
import type { Hook } from "@hono/zod-openapi";
import type { z } from "zod";
import { type ProblemCode, PROBLEMS } from "../../protocol/errors.ts";
import type { AppTypes } from "../environment.ts";
import { fieldErrors } from "./field-errors.ts";
import { ProblemError } from "./problems.ts";
import { problemSchema } from "./schemas.ts";

/** A required JSON body. */
export function json<Schema extends z.ZodType>(schema: Schema) {
  return { required: true, content: { "application/json": { schema } } } as const;
}

/** A JSON body that may be left out: then it says nothing, as `{}`. */
export function optionalJson<Schema extends z.ZodType>(schema: Schema) {
  return { required: false, content: { "application/json": { schema } } } as const;
}

type Answer<Schema extends z.ZodType> = {
  description: string;
  content: { "application/json": { schema: Schema } };
};

type Answers<Successes> = {
  [Status in keyof Successes]: Successes[Status] extends readonly [
    string,
    infer Schema extends z.ZodType,
  ]
    ? Answer<Schema>
    : never;
};

/** Problems of every call that has a body. */
export const BODY_PROBLEMS = [
  "malformed_json",
  "unsupported_media_type",
  "payload_too_large",
  "invalid_request",
] as const satisfies ProblemCode[];

/** Problems that any call may have; those without a token have no `unauthenticated`. */
const COMMON_PROBLEMS = [
  "unauthenticated",
  "database_unavailable",
  "internal_error",
] as const satisfies ProblemCode[];

/**
 * A route's answers: each success with its schema, each problem by its code, with those that any
 * call may have. Problems are thrown, so the route's own type has only the successes.
 */
export function answers<const Successes extends Record<number, readonly [string, z.ZodType]>>(
  successes: Successes,
  problems: ProblemCode[],
  { isOpen = false } = {},
): Answers<Successes> {
  const described: Record<string, unknown> = {};
  for (const [status, [description, schema]] of Object.entries(successes)) {
    described[status] = { description, content: { "application/json": { schema } } };
  }
  const common = COMMON_PROBLEMS.filter((code) => !isOpen || code !== "unauthenticated");
  for (const code of new Set([...problems, ...common])) {
    const { status, title } = PROBLEMS[code];
    const known = described[status] as { description: string } | undefined;
    const description = `${known ? `${known.description}; ` : ""}${title} (\`${code}\`)`;
    described[status] = {
      description,
      content: { "application/problem+json": { schema: problemSchema } },
    };
  }
  return described as Answers<Successes>;
}

const TARGETS: Record<string, string> = { json: "body", query: "query", param: "address" };

/** Answers a request that doesn't fit its schema. */
export const refuseInvalid: Hook<unknown, AppTypes, string, unknown> = (result) => {
  if (result.success) return;
  const isTooLarge = result.error.issues.some(
    (issue) => issue.code === "custom" && issue.params?.["code"] === "payload_too_large",
  );
  const where = TARGETS[result.target] ?? result.target;
  const fields = fieldErrors(result.error, "data" in result ? result.data : undefined, where);
  const [first] = fields;
  const what = first?.path ? `In the ${where}, ${first.path}` : `The ${where}`;
  const others = fields.length > 1 ? ` (and ${fields.length - 1} more)` : "";
  throw new ProblemError(
    isTooLarge ? "payload_too_large" : "invalid_request",
    `${what} ${first?.message}${others}.`,
    { fields },
  );
};
