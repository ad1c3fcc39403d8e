/**
 * The codes both sides know. A code is stable: programs match on it, its text may change.
 * `docs/protocol.md` and the OpenAPI document list them.
 */

/** Codes of HTTP problem documents (RFC 9457), with the status each comes with. */
export const PROBLEMS = {
  malformed_json: { status: 400, title: "The body is not JSON" },
  invalid_request: { status: 422, title: "The request is not valid" },
  invalid_workflow: { status: 422, title: "The workflow's definition is not valid" },
  unauthenticated: { status: 401, title: "The API token is missing or not valid" },
  not_found: { status: 404, title: "There is no such thing here" },
  workflow_not_found: { status: 404, title: "There is no such workflow" },
  version_not_found: { status: 404, title: "The workflow has no such version" },
  version_active: { status: 409, title: "The version is the active one" },
  version_unusable: { status: 409, title: "The version names limits that are no longer there" },
  nothing_to_roll_back: { status: 409, title: "No older version has been active" },
  run_not_found: { status: 404, title: "There is no such run" },
  run_not_finished: { status: 409, title: "The run has not finished" },
  workflow_paused: { status: 409, title: "The workflow is paused and takes no runs" },
  filter_not_found: { status: 404, title: "There is no such filter" },
  filter_exists: { status: 409, title: "The workflow has another filter like that" },
  filter_declared: { status: 409, title: "The workflow declares the filter" },
  too_many_filters: { status: 409, title: "There are as many filters as there may be" },
  too_many_matches: { status: 422, title: "The event would start too many runs at once" },
  event_not_found: { status: 404, title: "There is no such event" },
  notification_not_found: { status: 404, title: "There is no such notification" },
  too_many_notifications: {
    status: 409,
    title: "There are as many notifications as there may be",
  },
  limit_not_found: { status: 404, title: "There is no such limit" },
  limit_in_use: { status: 409, title: "A workflow uses the limit" },
  too_many_limits: { status: 409, title: "There are as many limits as there may be" },
  schedule_not_found: { status: 404, title: "There is no such schedule" },
  schedule_exists: { status: 409, title: "The workflow has another schedule of this name" },
  schedule_declared: { status: 409, title: "The workflow declares the schedule" },
  schedule_over: { status: 409, title: "The schedule has started its run" },
  too_many_schedules: { status: 409, title: "There are as many crons as there may be" },
  webhook_not_found: { status: 404, title: "There is no such webhook" },
  too_many_webhooks: { status: 409, title: "There are as many webhooks as there may be" },
  delivery_not_verified: { status: 401, title: "The delivery could not be verified" },
  import_not_found: { status: 404, title: "There is no such import" },
  too_many_imports: { status: 409, title: "There are as many imports as there may be" },
  run_too_large: { status: 422, title: "The run is too large for one document" },
  task_not_found: { status: 404, title: "There is no such task" },
  worker_not_found: { status: 404, title: "There is no such worker" },
  message_not_found: { status: 404, title: "There is no such message" },
  tenant_exists: { status: 409, title: "A tenant of this name exists" },
  tenant_not_found: { status: 404, title: "There is no such tenant" },
  token_not_found: { status: 404, title: "There is no such token" },
  method_not_allowed: { status: 405, title: "This method is not allowed here" },
  upgrade_required: { status: 426, title: "This address speaks WebSocket" },
  payload_too_large: { status: 413, title: "The payload is too large" },
  unsupported_media_type: { status: 415, title: "The body must be application/json" },
  overloaded: { status: 503, title: "The shard has more to commit than it may hold" },
  database_unavailable: { status: 503, title: "The database can't be reached" },
  internal_error: { status: 500, title: "Something went wrong on our side" },
} as const satisfies Record<string, { status: number; title: string }>;
export type ProblemCode = keyof typeof PROBLEMS;

/** An RFC 9457 problem document; `code` is what programs match on. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  code: ProblemCode;
  /** What exactly is wrong, and what to do. */
  detail: string;
  /** What is wrong in the request, when it is in the request. */
  errors?: FieldError[];
  /** The request this answers; quote it when you ask for help. */
  requestId?: string;
}

/** What is wrong with a field of a request. */
export interface FieldError {
  /** Such as `runs[3].input`. */
  path: string;
  message: string;
  /** Of an expression: its own code, where in it, and its line with a caret under that place. */
  code?: ExpressionErrorCode;
  position?: { start: number; end: number; line: number; column: number };
  excerpt?: string;
}

/**
 * What can be wrong with an expression. The first group is found when it is stored, the second when
 * it is evaluated; `type_error`, `wrong_result` and `bad_pattern` are found as early as can be.
 */
export const EXPRESSION_ERRORS = {
  syntax_error: "The expression is not CEL",
  unknown_variable: "The expression names a variable or field that is not there",
  unknown_function: "The expression calls a function that is not there",
  type_error: "An operation does not take values of these types",
  wrong_result: "The expression answers another type than is asked for",
  bad_literal: "A literal can never be converted as the expression asks",
  bad_pattern: "A pattern is not RE2, or too large",
  too_large: "The expression is too long",
  too_complex: "The expression is too deeply nested, or has too many parts",

  no_such_key: "The data has no such key or index",
  evaluation_failed: "An operation failed on the data",
  too_much_work: "The expression would work through too much data",
} as const satisfies Record<string, string>;
export type ExpressionErrorCode = keyof typeof EXPRESSION_ERRORS;

/** Why a webhook has refused a delivery: told to its tenant, not to its sender. */
export const DELIVERY_FAILURES = {
  missing_signature: "The delivery has no signature",
  malformed_signature: "The signature is not written as this provider writes it",
  wrong_signature: "None of the secrets makes this signature",
  missing_timestamp: "The delivery has no time of sending, or none that is a number",
  timestamp_out_of_tolerance: "The delivery was signed too long ago, or by a clock that is ahead",
  missing_credentials: "The delivery has no credentials",
  wrong_credentials: "The credentials are none of the secrets",
  delivery_too_large: "The delivery is too large",
  malformed_body: "The body is neither JSON nor a form",
  expression_failed: "The event's key or scope could not be evaluated",
  invalid_event: "The delivery makes an event that can't be",
} as const satisfies Record<string, string>;
export type DeliveryFailureCode = keyof typeof DELIVERY_FAILURES;

/** Codes of `error` frames. After one the shard closes the socket with the close code beside it. */
export const SESSION_ERRORS = {
  malformed_message: { close: 4400, title: "The message is not JSON of the protocol's shape" },
  unknown_frame: { close: 4400, title: "The protocol has no such frame" },
  invalid_frame: { close: 4400, title: "A field of the frame is missing or of the wrong kind" },
  unsupported_version: { close: 4406, title: "The shard does not speak this version" },
  hello_expected: { close: 4401, title: "The first frame of a session must be hello" },
  hello_repeated: { close: 4400, title: "A session says hello once" },
  message_too_large: { close: 4413, title: "The message is too large" },
  session_replaced: { close: 4409, title: "The worker resumed this session on another socket" },
  session_silent: {
    close: 4408,
    title: "The session was silent for longer than the heartbeat limit",
  },
  too_many_handshakes: { close: 1013, title: "Too many workers connect at once" },
} as const satisfies Record<string, { close: number; title: string }>;
export type SessionErrorCode = keyof typeof SESSION_ERRORS;

/** Close code of a worker that has drained and will not be back. */
export const CLOSE_DRAINED = 4000;

/** What a task's error can say, with what to do about it. A handler's own carries `handler_error`. */
export const TASK_ERRORS = {
  handler_error: {
    title: "The handler threw",
    advice: "Read the error's message and stack; replay the run once the handler is mended.",
  },
  execution_timeout: {
    title: "The attempt took longer than its step's timeout",
    advice: "Raise the step's timeout, or call ctx.extendTimeout while the work makes progress.",
  },
  schedule_timeout: {
    title: "The task was queued for longer than its step's scheduleTimeout",
    advice: "Start more workers for its action, or raise scheduleTimeout; then replay the run.",
  },
  run_timeout: {
    title: "The run took longer than its workflow's timeout",
    advice: "Raise the workflow's timeout, or find the step that was slow; then replay the run.",
  },
  cancelled: {
    title: "The run was cancelled",
    advice: "Replay the run if it should happen after all.",
  },
  limit_full: {
    title: "A limit was full, and its strategy cancels",
    advice: "Raise the limit, or give it the strategy queue; then replay the run.",
  },
  invalid_key: {
    title: "A limit's key, units or weight could not be evaluated for the task",
    advice:
      "Mend the expression or give it a fallback; then replay the run with the active version.",
  },
  skipped: {
    title: "The step's conditions skipped the task",
    advice: "Nothing: the run goes on without it. The message says which condition it was.",
  },
  condition_failed: {
    title: "A condition of the step could not be evaluated for the task",
    advice: "Mend the expression; then replay the run with the active version.",
  },
  wait_timeout: {
    title: "What the task waited for did not come in time",
    advice: "See why it did not come, or say with onTimeout what is to happen then.",
  },
  limit_held_by_parent: {
    title: "A run that this one is a child of holds a limit that it needs",
    advice: "Count children by a limit or key of their own, or start them detached.",
  },
  rate_limited: {
    title: "The worker met a rate limit and gave the task back",
    advice: "Nothing: it runs again when its limit allows. Again and again: lower the limit.",
  },
  worker_lost: {
    title: "The worker vanished with the attempt",
    advice:
      "See why workers die with this task (memory, a blocked event loop); then replay the run.",
  },
  not_received: {
    title: "The worker did not confirm that the task arrived",
    advice: "Nothing, once. Again and again: the worker's event loop is blocked.",
  },
  payload_too_large: {
    title: "The output is too large",
    advice: "Store it elsewhere and return where it is.",
  },
  invalid_output: {
    title: "The output is not JSON that can be stored",
    advice: "Return plain JSON: no functions, bigints, cycles, or U+0000 in a text.",
  },
} as const satisfies Record<string, { title: string; advice: string }>;
export type TaskErrorCode = keyof typeof TASK_ERRORS;
export const TASK_ERROR_CODES = Object.keys(TASK_ERRORS) as [TaskErrorCode, ...TaskErrorCode[]];

/** What went wrong in an attempt, as it is stored and shown. */
export interface TaskError {
  code: TaskErrorCode;
  /** The error's class, such as `TypeError`. */
  name: string;
  message: string;
  stack?: string;
  /** The handler asked for its next attempt no sooner than so many milliseconds later. */
  retryAfterMs?: number;
  /** False: the handler said that another attempt would fail as well. */
  isRetryable?: false;
}
