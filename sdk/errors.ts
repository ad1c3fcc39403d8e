/**
 * Every error the SDK throws or gives as a reason, so that programs can tell them apart by class
 * and `code`. An error here says what failed, which one, and what to do about it; it never carries
 * a token.
 */
import type { ProblemCode, TaskError } from "../protocol/errors.ts";
import type { RunState } from "../protocol/states.ts";

/** A workflow, a worker or a call is written in a way that can't work. Thrown where it is written. */
export class DefinitionError extends Error {
  override readonly name = "DefinitionError";
  /** Thrown by a handler, it ends the task: another attempt would throw it again. */
  readonly isRetryable = false;
}

/** Codes of failures that no server answered: the server's own are `ProblemCode`. */
export type LocalErrorCode =
  | "network_error"
  | "request_timeout"
  | "invalid_answer"
  | "invalid_configuration"
  | "result_timeout"
  | "attempt_over";

export interface SkeinErrorDetails {
  status: number;
  code: ProblemCode | LocalErrorCode | (string & {});
  detail: string;
  errors?: { path: string; message: string }[] | undefined;
  requestId?: string | undefined;
  cause?: unknown;
}

/**
 * A call to Skein failed. Safe to retry as it is: what could be retried, was.
 *
 * @example
 * try { await skein.start(order, input); }
 * catch (error) { if (error instanceof SkeinError && error.code === "workflow_not_found") … }
 */
export class SkeinError extends Error {
  override readonly name = "SkeinError";
  /** The HTTP status, or 0 when nothing answered. */
  readonly status: number;
  /** What programs match on. */
  readonly code: ProblemCode | LocalErrorCode | (string & {});
  /** What exactly is wrong, and what to do. */
  readonly detail: string;
  /** Where in the request: `runs[3].input`. Empty when it is not in the request. */
  readonly errors: { path: string; message: string }[];
  /** The request that failed; quote it when you ask for help. */
  readonly requestId: string | undefined;

  constructor(details: SkeinErrorDetails) {
    const places = (details.errors ?? []).map(
      ({ path, message }) => `\n  ${path || "body"}: ${message}`,
    );
    super(`${details.detail} (${details.code})${places.join("")}`, { cause: details.cause });
    this.status = details.status;
    this.code = details.code;
    this.detail = details.detail;
    this.errors = details.errors ?? [];
    this.requestId = details.requestId;
  }
}

/** A run whose result was awaited failed or was cancelled. */
export class RunFailedError extends Error {
  override readonly name = "RunFailedError";
  readonly runId: string;
  readonly state: RunState;
  /** The step that failed first, or null when it was the run itself: cancelled, or out of time. */
  readonly step: string | null;
  /** What that step's last attempt ended with, or why the run itself ended; or null. */
  readonly error: TaskError | null;

  constructor(runId: string, state: RunState, error: (TaskError & { step: string | null }) | null) {
    super(`Run ${runId} ${state}${error === null ? "" : whatFailed(error)}`);
    this.runId = runId;
    this.state = state;
    this.step = error?.step ?? null;
    this.error = error;
  }
}

function whatFailed({ step, name, message }: TaskError & { step: string | null }): string {
  return step === null ? `: ${message}` : ` in step "${step}": ${name}: ${message}`;
}

/** An input that its workflow's schema refuses. Nothing was started. */
export class InvalidInputError extends Error {
  override readonly name = "InvalidInputError";
  /** In a worker it ends the task: another attempt would have the same input. */
  readonly isRetryable = false;
  readonly workflow: string;
  readonly issues: { path: string; message: string }[];

  constructor(workflow: string, issues: { path: string; message: string }[]) {
    const places = issues.map((issue) => `\n  ${issue.path || "input"}: ${issue.message}`);
    super(`The input does not fit the schema of workflow "${workflow}":${places.join("")}`);
    this.workflow = workflow;
    this.issues = issues;
  }
}

/**
 * Why a handler's signal was aborted.
 *
 * - `cancelled`: the run was cancelled.
 * - `execution_timeout`: the attempt took longer than its step's timeout.
 * - `run_timeout`: the run took longer than its workflow's timeout.
 * - `lost`: the worker did not confirm the task in time, and it was given to another.
 * - `lease_lost`: no contact with the shard for so long that it is about to give the task away.
 * - `stale`: the task was given to another attempt, or ended otherwise.
 * - `worker_stopped`: the worker stopped and its grace is over.
 */
export type AbortCode =
  | "cancelled"
  | "execution_timeout"
  | "run_timeout"
  | "lost"
  | "lease_lost"
  | "stale"
  | "worker_stopped";

/** The `reason` of an aborted `ctx.signal`. What the handler does afterwards is not recorded. */
export class TaskAbortedError extends Error {
  override readonly name = "TaskAbortedError";
  readonly code: AbortCode;

  constructor(code: AbortCode, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * What `ctx.rateLimited` throws: it ends the attempt and puts the task back. Let it pass; a handler that
 * catches it goes on as if nothing had happened.
 */
export class RateLimitedError extends Error {
  override readonly name = "RateLimitedError";
  /** The limit that was met, or all of the task's. */
  readonly limit: string | undefined;
  readonly retryAfterMs: number;

  /** @internal Use `ctx.rateLimited`, which holds both to what a shard takes. */
  constructor(limit: string | undefined, retryAfterMs: number) {
    super(`The task is put back for ${retryAfterMs} ms: it met ${limit ?? "a rate limit"}`);
    this.limit = limit;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The shard ended the session because the worker broke the protocol: most often an old SDK. */
export class SessionError extends Error {
  override readonly name = "SessionError";
  /** One of the protocol's `SESSION_ERRORS`. */
  readonly code: string;

  constructor(code: string, detail: string) {
    super(`${detail} (${code}). Update @skein/sdk to the server's version and start again.`);
    this.code = code;
  }
}
