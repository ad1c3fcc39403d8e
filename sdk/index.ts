/**
 * Everything a program imports from `@skein/sdk`. What is not here is not public, and may change.
 */
export type {
  DeliveryFailureCode,
  ProblemCode,
  TaskError,
  TaskErrorCode,
} from "../protocol/errors.ts";
export type {
  CreatedFilter,
  EvaluationError,
  EventRecord,
  EventSummary,
  Filter,
  FilterFailure,
  ReplayedEvents,
  StartedByEvent,
  StartingFilter,
  TriedFilter,
} from "../protocol/event-bodies.ts";
export type {
  Attempt,
  CancelledRun,
  Page,
  PublishedEvent,
  RegisteredWorkflow,
  ReplayedRuns,
  Run,
  RunLogLine,
  RunResult,
  RunSummary,
  Task,
  WorkerRecord,
  Workflow as WorkflowRecord,
  WorkflowDefinition,
  WorkflowVersion,
} from "../protocol/http.ts";
export type { TaskWait } from "../protocol/wait-bodies.ts";
export type {
  LabelRequest,
  LimitHolder,
  LimitKeyState,
  LimitState,
  StoredLimit,
  WaitReason,
  Why,
} from "../protocol/limit-bodies.ts";
export type {
  EndState,
  Notification,
  NotificationBody,
  StoredNotification,
} from "../protocol/notification-bodies.ts";
export type { SetShards, ShardCondition, TenantShards } from "../protocol/shard-bodies.ts";
export type { CreatedSchedule, Schedule, SchedulePreview } from "../protocol/schedule-bodies.ts";
export type {
  CreatedImport,
  ExportedEvent,
  Import,
  ImportSummary,
  RunExport,
} from "../protocol/history-bodies.ts";
export type { Divergence, DivergenceKind } from "../protocol/replay-check-bodies.ts";
export type { Json, Metadata } from "../protocol/json.ts";
export type { DeadMessage, DeadMessageWithBody, QueueState } from "../protocol/message-bodies.ts";
export type { StepFailure } from "../protocol/session.ts";
export type { MetCondition, Waited } from "../protocol/wait-bodies.ts";
export type {
  CatchUp,
  LimitStrategy,
  ActivationChoice,
  Overlap,
  PauseMode,
  RunState,
  StepKind,
  Stickiness,
  TaskState,
  TimeoutChoice,
  Versioning,
  WorkflowChangeKind,
} from "../protocol/states.ts";
export type {
  Difference,
  Promotion,
  RollbackRule,
  VersionDiff,
  VersionSummary,
  WorkflowChange,
} from "../protocol/version-bodies.ts";
export type {
  HmacSignature,
  Webhook,
  WebhookFailure,
  WebhookProvider,
} from "../protocol/webhook-bodies.ts";
export type { CancelOnOptions } from "./cancel-on.ts";
export type { ConditionOptions } from "./conditions.ts";
export {
  Client,
  type ClientOptions,
  type PublishItem,
  type PublishOptions,
  type RegisterOptions,
  type StartItem,
  type StartOptions,
} from "./client.ts";
export type { ChildRun, ChildWaitOptions, SpawnItem, SpawnOptions } from "./child-run.ts";
export type { FailureContext, LogFields, TaskContext, TaskLog } from "./context.ts";
export type { CronOptions, ScheduleRunOptions } from "./crons.ts";
export type { DelayOptions } from "./delay.ts";
export type { Duration } from "./duration.ts";
export type { EventFilter, ListEvents, ReplayedEventFilter, ReplayEventOptions } from "./events.ts";
export type {
  ChangeFilterOptions,
  FilterOptions,
  ListFilters,
  TryFilterOptions,
} from "./filters.ts";
export {
  type AbortCode,
  DefinitionError,
  InvalidInputError,
  RateLimitedError,
  RunFailedError,
  SessionError,
  SkeinError,
  TaskAbortedError,
} from "./errors.ts";
export type { LabelOptions, Labels } from "./labels.ts";
export type { LimitOptions, RateOptions } from "./limits.ts";
export type { ListDeadMessages } from "./messages.ts";
export type { PutNotificationOptions } from "./notifications.ts";
export type { BackoffOptions, ExecutionOptions } from "./policy.ts";
export {
  type CheckedWorkflow,
  type ReplayCheckOptions,
  ReplayCheckResult,
} from "./replay-check.ts";
export type { Report } from "./report.ts";
export { NonRetryableError, RetryAfterError, type RetryAfterOptions } from "./retry-errors.ts";
export type {
  CancelOptions,
  ListRuns,
  ReplayManyOptions,
  ReplayOptions,
  RunFilter,
  RunHandle,
  WaitOptions,
} from "./runs.ts";
export type {
  Compensate,
  CompensateOptions,
  OnFailureOptions,
  ParentOutputs,
  StepHandle,
  StepOptions,
} from "./step.ts";
export type {
  Awaitable,
  AwaitedEvent,
  AwaitedSleep,
  WaitForOptions,
  WaitTimeoutOptions,
} from "./wait-for.ts";
export type {
  ChangeScheduleOptions,
  CreateScheduleOptions,
  ListSchedules,
  PreviewOptions,
  ScheduleTimes,
} from "./schedules.ts";
export type { BoundOptions, OverrideOptions, PutLimitOptions } from "./stored-limits.ts";
export type { PutWebhookOptions } from "./webhooks.ts";
export { type Worker, type WorkerOptions, worker } from "./worker.ts";
export { type Workflow, type WorkflowOptions, workflow } from "./workflow.ts";
export type {
  ActivateOptions,
  EndPromotionOptions,
  PauseOptions,
  PromoteOptions,
  RollBackOptions,
} from "./workflows.ts";
