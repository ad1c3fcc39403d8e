/**
 * The tables that reads go over, as Drizzle knows them. `migrations/tables` makes them; a test holds
 * the two together.
 */
import {
  bigint,
  boolean,
  integer,
  jsonb,
  pgSchema,
  primaryKey,
  smallint,
  text,
  timestamp,
  uuid,
} from "drizzle-orm/pg-core";
import type { DeliveryFailureCode, TaskError } from "../protocol/errors.ts";
import type { EvaluationError } from "../protocol/event-bodies.ts";
import type { WorkflowDefinition } from "../protocol/http.ts";
import type { PutLimit } from "../protocol/limit-bodies.ts";
import type { Json, Metadata } from "../protocol/json.ts";
import type { DeadReason, QueueName } from "../protocol/message-bodies.ts";
import type { LogLine } from "../protocol/session.ts";
import type { RollbackRule } from "../protocol/version-bodies.ts";
import type { MetCondition } from "../protocol/wait-bodies.ts";
import {
  ATTEMPT_OUTCOMES,
  PAUSE_MODES,
  RUN_STATES,
  STEP_KINDS,
  TASK_STATES,
  TIMER_KINDS,
  WORKFLOW_CHANGE_KINDS,
} from "../protocol/states.ts";
import type { StoredWebhook } from "../protocol/webhook-bodies.ts";
import type { CancelOnRow, DeclaredFilterRow, GateRow } from "./definition-rows.ts";

const v1 = pgSchema("v1");
const time = (name: string) => timestamp(name, { withTimezone: true, mode: "date" });

export const runState = v1.enum("run_state", RUN_STATES);
export const taskState = v1.enum("task_state", TASK_STATES);
export const attemptOutcome = v1.enum("attempt_outcome", ATTEMPT_OUTCOMES);
export const stepKind = v1.enum("step_kind", STEP_KINDS);
export const timerKind = v1.enum("timer_kind", TIMER_KINDS);
export const pauseMode = v1.enum("pause_mode", PAUSE_MODES);
export const workflowChangeKind = v1.enum("workflow_change_kind", WORKFLOW_CHANGE_KINDS);

export const tenant = v1.table("tenant", {
  id: uuid("id").primaryKey(),
  /** Null: its history is kept for ever. */
  retentionDays: smallint("retention_days"),
});

export const workflow = v1.table("workflow", {
  id: uuid("id").primaryKey(),
  tenantId: uuid("tenant_id").notNull(),
  name: text("name").notNull(),
  activeVersionId: uuid("active_version_id"),
  createdAt: time("created_at").notNull(),
  pausedAt: time("paused_at"),
  pauseMode: pauseMode("pause_mode"),
});

export const workflowVersion = v1.table("workflow_version", {
  id: uuid("id").primaryKey(),
  workflowId: uuid("workflow_id").notNull(),
  number: integer("number").notNull(),
  checksum: text("checksum").notNull(),
  definition: jsonb("definition").$type<WorkflowDefinition>().notNull(),
  createdAt: time("created_at").notNull(),
  timeoutMs: bigint("timeout_ms", { mode: "number" }),
  cancelOn: jsonb("cancel_on").$type<CancelOnRow[]>(),
  filters: jsonb("filters").$type<DeclaredFilterRow[]>(),
});

export const workflowChange = v1.table("workflow_change", {
  id: uuid("id").primaryKey(),
  workflowId: uuid("workflow_id").notNull(),
  changedAt: time("changed_at").notNull(),
  kind: workflowChangeKind("kind").notNull(),
  versionId: uuid("version_id").notNull(),
  previousVersionId: uuid("previous_version_id"),
  isActive: boolean("is_active").notNull(),
  actor: text("actor"),
  reason: text("reason"),
  details: jsonb("details").$type<Json>(),
});

/** Its share is in hundredths of a percent. */
export const promotion = v1.table("promotion", {
  workflowId: uuid("workflow_id").primaryKey(),
  tenantId: uuid("tenant_id").notNull(),
  versionId: uuid("version_id").notNull(),
  share: smallint("share").notNull(),
  keyPath: text("key_path").array(),
  rollbackWhen: jsonb("rollback_when").$type<Required<RollbackRule>>(),
  startedAt: time("started_at").notNull(),
});

export const dag = v1.table(
  "dag",
  {
    versionId: uuid("version_id").notNull(),
    step: smallint("step").notNull(),
    name: text("name").notNull(),
    action: text("action").notNull(),
    parents: smallint("parents").array().notNull(),
    timeoutMs: integer("timeout_ms").notNull(),
    kind: stepKind("kind").notNull(),
    compensates: smallint("compensates"),
    gate: jsonb("gate").$type<GateRow>(),
  },
  (table) => [primaryKey({ columns: [table.versionId, table.step] })],
);

export const event = v1.table("event", {
  id: uuid("id").primaryKey(),
  tenantId: uuid("tenant_id").notNull(),
  key: text("key").notNull(),
  payload: jsonb("payload").$type<Json>().notNull(),
  metadata: jsonb("metadata").$type<Metadata>().notNull(),
  runs: uuid("runs").array().notNull(),
  scope: text("scope"),
  replayOf: uuid("replay_of"),
});

export const filter = v1.table("filter", {
  id: uuid("id").primaryKey(),
  tenantId: uuid("tenant_id").notNull(),
  workflowId: uuid("workflow_id").notNull(),
  scope: text("scope"),
  expression: text("expression").notNull(),
  payload: jsonb("payload").$type<Json>().notNull(),
  equalities: jsonb("equalities").$type<DeclaredFilterRow["equalities"]>().notNull(),
  createdAt: time("created_at").notNull(),
  updatedAt: time("updated_at").notNull(),
});

export const filterFailure = v1.table(
  "filter_failure",
  {
    eventId: uuid("event_id").notNull(),
    filterId: uuid("filter_id").notNull(),
    error: jsonb("error").$type<EvaluationError>().notNull(),
  },
  (table) => [primaryKey({ columns: [table.eventId, table.filterId] })],
);

export const notification = v1.table(
  "notification",
  {
    tenantId: uuid("tenant_id").notNull(),
    name: text("name").notNull(),
    url: text("url").notNull(),
    states: runState("states").array().notNull(),
    workflows: text("workflows").array(),
    goneAt: time("gone_at"),
    createdAt: time("created_at").notNull(),
    updatedAt: time("updated_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.name] })],
);

export const workflowRun = v1.table("workflow_run", {
  id: uuid("id").primaryKey(),
  tenantId: uuid("tenant_id").notNull(),
  workflowId: uuid("workflow_id").notNull(),
  versionId: uuid("version_id").notNull(),
  eventId: uuid("event_id"),
  startedAt: time("started_at"),
  finishedAt: time("finished_at"),
  state: runState("state").notNull(),
  shard: smallint("shard").notNull(),
  input: jsonb("input").$type<Json>().notNull(),
  metadata: jsonb("metadata").$type<Metadata>().notNull(),
  error: jsonb("error").$type<TaskError>(),
  replayOf: uuid("replay_of"),
  /** Numbers of the steps whose outputs are that run's. */
  reused: smallint("reused").array(),
  /** The task that started it. */
  parentId: uuid("parent_id"),
  /** Null: its version's. */
  priority: smallint("priority"),
  filterId: uuid("filter_id"),
  filterPayload: jsonb("filter_payload").$type<Json>(),
});

export const task = v1.table("task", {
  id: uuid("id").primaryKey(),
  queuedAt: time("queued_at"),
  startedAt: time("started_at"),
  finishedAt: time("finished_at"),
  state: taskState("state").notNull(),
  attempt: integer("attempt").notNull(),
  step: smallint("step").notNull(),
  worker: text("worker"),
  error: jsonb("error").$type<TaskError>(),
});

export const taskWait = v1.table("task_wait", {
  taskId: uuid("task_id").primaryKey(),
  beganAt: time("began_at").notNull(),
  timesOutAt: time("times_out_at"),
  endedAt: time("ended_at"),
  isMet: boolean("is_met"),
  /** The conditions that have been met, as bits. */
  met: integer("met").notNull(),
  found: jsonb("found").$type<MetCondition[]>().notNull(),
});

export const taskAttempt = v1.table(
  "task_attempt",
  {
    taskId: uuid("task_id").notNull(),
    attempt: integer("attempt").notNull(),
    outcome: attemptOutcome("outcome").notNull(),
    worker: text("worker"),
    startedAt: time("started_at"),
    finishedAt: time("finished_at").notNull(),
    error: jsonb("error").$type<TaskError>(),
  },
  (table) => [primaryKey({ columns: [table.taskId, table.attempt] })],
);

export const taskOutput = v1.table("task_output", {
  taskId: uuid("task_id").primaryKey(),
  output: jsonb("output").$type<Json>().notNull(),
});

export const childRun = v1.table(
  "child_run",
  {
    parentId: uuid("parent_id").notNull(),
    key: text("key").notNull(),
    runId: uuid("run_id").notNull(),
    isDetached: boolean("is_detached").notNull(),
  },
  (table) => [primaryKey({ columns: [table.parentId, table.key] })],
);

export const timer = v1.table(
  "timer",
  {
    id: uuid("id").notNull(),
    kind: timerKind("kind").notNull(),
    shard: smallint("shard").notNull(),
    dueAt: time("due_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.id, table.kind, table.shard] })],
);

export const logLine = v1.table(
  "log_line",
  {
    taskId: uuid("task_id").notNull(),
    attempt: integer("attempt").notNull(),
    number: integer("number").notNull(),
    loggedAt: time("logged_at").notNull(),
    level: text("level").$type<LogLine["level"]>().notNull(),
    message: text("message").notNull(),
    fields: jsonb("fields").$type<{ [key: string]: Json }>(),
  },
  (table) => [primaryKey({ columns: [table.taskId, table.attempt, table.number] })],
);

export const storedLimit = v1.table(
  "limit",
  {
    tenantId: uuid("tenant_id").notNull(),
    name: text("name").notNull(),
    definition: jsonb("definition").$type<PutLimit>().notNull(),
    createdAt: time("created_at").notNull(),
    updatedAt: time("updated_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.name] })],
);

/** Without its secrets: no read has them. */
export const webhook = v1.table(
  "webhook",
  {
    tenantId: uuid("tenant_id").notNull(),
    name: text("name").notNull(),
    definition: jsonb("definition").$type<StoredWebhook>().notNull(),
    secretCount: integer("secret_count").notNull(),
    createdAt: time("created_at").notNull(),
    updatedAt: time("updated_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.name] })],
);

export const webhookFailure = v1.table(
  "webhook_failure",
  {
    tenantId: uuid("tenant_id").notNull(),
    webhook: text("webhook").notNull(),
    id: bigint("id", { mode: "number" }).notNull(),
    at: time("at").notNull(),
    code: text("code").$type<DeliveryFailureCode>().notNull(),
    detail: text("detail"),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.webhook, table.id] })],
);

/** An export that was brought here to be looked at. */
export const importedRun = v1.table("imported_run", {
  id: uuid("id").primaryKey(),
  tenantId: uuid("tenant_id").notNull(),
  runId: uuid("run_id").notNull(),
  workflow: text("workflow").notNull(),
  version: integer("version").notNull(),
  state: runState("state").notNull(),
  bytes: integer("bytes").notNull(),
  document: text("document").notNull(),
  importedAt: time("imported_at").notNull(),
});

export const queueItem = v1.table("queue_item", {
  tenantId: uuid("tenant_id").notNull(),
  shard: smallint("shard").notNull(),
  action: text("action").notNull(),
  lane: bigint("lane", { mode: "number" }).notNull(),
  taskId: uuid("task_id").primaryKey(),
});

export const message = v1.table("message", {
  id: uuid("id").primaryKey(),
  tenantId: uuid("tenant_id").notNull(),
  queue: text("queue").$type<QueueName>().notNull(),
  kind: text("kind").notNull(),
  body: jsonb("body").$type<Json>().notNull(),
  sentAt: time("sent_at").notNull(),
  reads: integer("reads").notNull(),
  diedAt: time("died_at"),
  reason: jsonb("reason").$type<DeadReason>(),
});
