/**
 * Bodies of the HTTP API, as the SDK and the edge Worker share them. The Worker checks requests
 * with zod schemas that are held to these types; the OpenAPI document comes from those schemas.
 * Times are ISO 8601 in UTC; ids are UUIDs, version 7.
 */
import type { TaskError } from "./errors.ts";
import type { Json, Metadata } from "./json.ts";
import type { LogLine } from "./session.ts";
import type { AttemptOutcome, RunState, TaskState } from "./states.ts";

/** A step of a workflow's DAG. */
export interface StepDefinition {
  name: string;
  /** The handler that executes it. Default `workflow:step`. */
  action?: string;
  /** Names of the steps whose outputs it needs. Default none. */
  parents?: string[];
  /** Milliseconds one attempt may take. Default a minute, at most a day. */
  timeoutMs?: number;
}

export interface WorkflowDefinition {
  name: string;
  description?: string;
  /** Keys of the events that start a run. Default none. */
  events?: string[];
  steps: StepDefinition[];
}

export interface WorkflowVersion {
  id: string;
  /** From 1, without gaps. */
  number: number;
  checksum: string;
  createdAt: string;
}

export interface Workflow {
  id: string;
  name: string;
  createdAt: string;
  /** The version that new runs are bound to. */
  version: WorkflowVersion;
  definition: WorkflowDefinition;
}

/** The answer to a registration: `created` tells whether it made a new version. */
export interface RegisteredWorkflow extends Workflow {
  created: boolean;
}

export interface StartRun {
  /** The workflow's name. */
  workflow: string;
  /** Default null. */
  input?: Json;
  metadata?: Metadata;
  /** Two starts with the same key make one run; the key is remembered for a day. */
  idempotencyKey?: string;
}

export interface StartedRun {
  id: string;
  /** False when a run with this idempotency key existed: `id` is that run's. */
  created: boolean;
}

export interface Attempt {
  attempt: number;
  outcome: AttemptOutcome;
  worker: string | null;
  startedAt: string | null;
  finishedAt: string;
  error: TaskError | null;
}

export interface Task {
  id: string;
  step: string;
  action: string;
  parents: string[];
  state: TaskState;
  /** Attempts that have ended, oldest first. */
  attempts: Attempt[];
  /** The output of a completed task, else null. */
  output: Json;
  /** Why the task failed or was cancelled, else null. */
  error: TaskError | null;
  queuedAt: string | null;
  startedAt: string | null;
  finishedAt: string | null;
}

export interface RunSummary {
  id: string;
  workflow: string;
  version: number;
  state: RunState;
  metadata: Metadata;
  /** The event that started it, else null. */
  eventId: string | null;
  createdAt: string;
  startedAt: string | null;
  finishedAt: string | null;
}

export interface Run extends RunSummary {
  input: Json;
  tasks: Task[];
}

export interface RunResult {
  id: string;
  state: RunState;
  /** Outputs of the completed steps, by step name. */
  outputs: { [step: string]: Json };
  /** The first failed task's error, else null. */
  error: (TaskError & { step: string }) | null;
}

export interface RunLogLine extends Omit<LogLine, "at"> {
  task: string;
  step: string;
  attempt: number;
  at: string;
}

export interface PublishEvent {
  key: string;
  /** Default null. */
  payload?: Json;
  metadata?: Metadata;
  /** Two publications with the same key are one event; the key is remembered for a day. */
  idempotencyKey?: string;
}

export interface PublishedEvent {
  id: string;
  /** False when an event with this idempotency key existed: `id` and `runs` are that event's. */
  created: boolean;
  /** The runs it started. */
  runs: string[];
}

export interface Page<Item> {
  items: Item[];
  /** Give it as `cursor` for the next page; null on the last. */
  nextCursor: string | null;
}

export interface Shard {
  number: number;
  /** Where a worker opens its WebSocket, relative to the API's address. */
  path: string;
}

export interface Tenant {
  id: string;
  name: string;
  createdAt: string;
}

export interface ApiToken {
  id: string;
  name: string;
  /** The first characters, to tell tokens apart. */
  prefix: string;
  createdAt: string;
}

/** Told once, when it is made: only its hash is kept. */
export interface CreatedApiToken extends ApiToken {
  token: string;
}
