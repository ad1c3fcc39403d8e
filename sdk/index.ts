/**
 * Everything a program imports from `@skein/sdk`. What is not here is not public, and may change.
 */
export type { ProblemCode, TaskError, TaskErrorCode } from "../protocol/errors.ts";
export type {
  Attempt,
  Page,
  PublishedEvent,
  RegisteredWorkflow,
  Run,
  RunLogLine,
  RunResult,
  RunSummary,
  Task,
  Workflow as WorkflowRecord,
  WorkflowDefinition,
  WorkflowVersion,
} from "../protocol/http.ts";
export type { Json, Metadata } from "../protocol/json.ts";
export type { RunState, TaskState } from "../protocol/states.ts";
export {
  Client,
  type ClientOptions,
  type PublishItem,
  type PublishOptions,
  type RunHandle,
  type StartItem,
  type StartOptions,
} from "./client.ts";
export type { LogFields, TaskContext, TaskLog } from "./context.ts";
export type { Duration } from "./duration.ts";
export {
  type AbortCode,
  DefinitionError,
  InvalidInputError,
  RunFailedError,
  SessionError,
  SkeinError,
  TaskAbortedError,
} from "./errors.ts";
export type { Report } from "./report.ts";
export type { ListRuns, WaitOptions } from "./runs.ts";
export { type Worker, type WorkerOptions, worker } from "./worker.ts";
export {
  type ParentOutputs,
  type StepHandle,
  type StepOptions,
  type Workflow,
  type WorkflowOptions,
  workflow,
} from "./workflow.ts";
