/**
 * Errors as RFC 9457 problem documents. A route throws a `ProblemError`; anything else that is
 * thrown is our own fault and tells the client nothing but the request's id.
 */
import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import { classifyFailure } from "../../database/errors.ts";
import {
  type FieldError,
  type Problem,
  type ProblemCode,
  PROBLEMS,
} from "../../protocol/errors.ts";
import { errorFields } from "../../telemetry/log.ts";
import type { AppTypes } from "../environment.ts";

export class ProblemError extends Error {
  readonly code: ProblemCode;
  readonly fields: FieldError[] | undefined;
  readonly headers: Record<string, string>;

  /** @param detail What exactly is wrong, and what to do. */
  constructor(
    code: ProblemCode,
    detail: string,
    options: { fields?: FieldError[]; headers?: Record<string, string> } = {},
  ) {
    super(detail);
    this.name = "ProblemError";
    this.code = code;
    this.fields = options.fields;
    this.headers = options.headers ?? {};
  }
}

/** Hono's onError: every error ends here. */
export async function answerProblem(error: Error, context: Context<AppTypes>): Promise<Response> {
  const isMalformed = error instanceof HTTPException && error.status === 400;
  const problem = isMalformed
    ? new ProblemError("malformed_json", await whyMalformed(context.req))
    : toProblemError(error);
  const { log, requestId } = context.var;
  if (PROBLEMS[problem.code].status >= 500) {
    log.error("request.failed", { code: problem.code, ...errorFields(error) });
  }
  return problemResponse(problem, requestId);
}

export function problemResponse(problem: ProblemError, requestId: string): Response {
  const { status, title } = PROBLEMS[problem.code];
  const body: Problem = {
    type: `urn:skein:problem:${problem.code}`,
    title,
    status,
    code: problem.code,
    detail: problem.message,
    ...(problem.fields && { errors: problem.fields }),
    requestId,
  };
  const headers = { "content-type": "application/problem+json", ...problem.headers };
  return new Response(JSON.stringify(body), { status, headers });
}

function toProblemError(error: Error): ProblemError {
  if (error instanceof ProblemError) return error;
  if (isDatabaseError(error) && classifyFailure(error) === "unknown") {
    return new ProblemError("database_unavailable", "Try again in a moment.", {
      headers: { "retry-after": "2" },
    });
  }
  return new ProblemError(
    "internal_error",
    "It has been logged. Try again, or ask with the request's id.",
  );
}

/** Why a text is not JSON: asked only once it is known not to be. */
async function whyMalformed(request: { text(): Promise<string> }): Promise<string> {
  const text = await request.text();
  if (text === "") return "The body is empty. Send a JSON object.";
  try {
    JSON.parse(text);
    return "The body is not JSON.";
  } catch (cause) {
    return `${cause instanceof Error ? cause.message : String(cause)}.`;
  }
}

function isDatabaseError(error: Error): boolean {
  return (
    error.name === "NeonDbError" || (error.cause instanceof Error && isDatabaseError(error.cause))
  );
}
