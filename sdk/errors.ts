/**
 * Every error the SDK throws or gives as a reason, so that programs can tell them apart by class
 * and `code`. An error here says what failed, which one, and what to do about it; it never carries
 * a token.
 */
import type { ProblemCode, TaskError } from "../protocol/errors.ts";
import type { RunState } from "../protocol/states.ts";

/** A workflow or a worker is written in a way that can't work. Thrown where it is written. */
export class DefinitionError extends Error {
  override readonly name = "DefinitionError";
}

/** Codes of failures that no server answered: the server's own are `ProblemCode`. */
export type LocalErrorCode =
  | "network_error"
  | "request_timeout"
  | "invalid_answer"
  | "invalid_configuration"
  | "result_timeout";

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
    const places = (details.errors ?? []).map((place) => `\n  ${place.path}: ${place.message}`);
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
  /** The step that failed first, or null when the run was cancelled. */
  readonly step: string | null;
  /** What that step's last attempt ended with, or null. */
  readonly error: TaskError | null;

  constructor(runId: string, state: RunState, error: (TaskError & { step: string }) | null) {
    const why = error === null ? "" : ` in step "${error.step}": ${error.name}: ${error.message}`;
    super(`Run ${runId} ${state}${why}`);
    this.runId = runId;
    this.state = state;
    this.step = error?.step ?? null;
    this.error = error;
  }
}

/** An input that its workflow's schema refuses. Nothing was started. */
export class InvalidInputError extends Error {
  override readonly name = "InvalidInputError";
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
 * - `lease_lost`: no contact with the shard for so long that it is about to give the task away.
 * - `stale`: the task was given to another attempt, or ended otherwise.
 * - `worker_stopped`: the worker stopped and its grace is over.
 */
export type AbortCode =
  | "cancelled"
  | "execution_timeout"
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
