-- What happens: events, runs, tasks and what they leave behind. All are partitioned by an id that
-- carries its run's time, so one month is dropped in one piece. No foreign keys between them: each
-- is written once by a function that knows both ends, and a partition drop must not check rows.

create type v1.run_state as enum ('queued', 'running', 'completed', 'failed', 'cancelled');
--> statement-breakpoint
create type v1.task_state as enum
  ('waiting', 'queued', 'running', 'backoff', 'completed', 'failed', 'cancelled', 'skipped');
--> statement-breakpoint
create type v1.attempt_outcome as enum ('completed', 'failed', 'timed_out', 'lost', 'cancelled');
--> statement-breakpoint
create table v1.event (
  id uuid primary key,
  tenant_id uuid not null,
  key text not null,
  payload jsonb not null,
  metadata jsonb not null,
  runs uuid[] not null
) partition by range (id);
--> statement-breakpoint
create table v1.workflow_run (
  id uuid primary key,
  tenant_id uuid not null,
  workflow_id uuid not null,
  version_id uuid not null,
  event_id uuid,
  started_at timestamptz,
  finished_at timestamptz,
  state v1.run_state not null,
  shard smallint not null,
  -- Tasks that have not finished, and tasks that failed.
  remaining smallint not null,
  failed smallint not null default 0,
  input jsonb not null,
  metadata jsonb not null
) partition by range (id);
--> statement-breakpoint
-- Lists are by time within a tenant, with or without a workflow. State is not indexed: that would
-- end heap-only updates, and with them a third of the throughput.
create index workflow_run_by_tenant on v1.workflow_run (tenant_id, id);
--> statement-breakpoint
create index workflow_run_by_workflow on v1.workflow_run (workflow_id, id);
--> statement-breakpoint
-- A task's id is its run's id with the step's number + 1 in the last four digits, so the primary key
-- serves "all tasks of a run" as well. A task belongs to the tenant of its run.
create table v1.task (
  id uuid primary key,
  queued_at timestamptz,
  started_at timestamptz,
  finished_at timestamptz,
  state v1.task_state not null,
  -- Attempts that have ended; the one in a worker's hands is this + 1, and is not written down.
  attempt integer not null default 0,
  step smallint not null,
  -- Parents that have not completed.
  pending smallint not null,
  children smallint not null,
  -- Of the last attempt: who had it, and what went wrong.
  worker text,
  error jsonb
) partition by range (id);
--> statement-breakpoint
-- Attempts before the last one. The last is the task's own row.
create table v1.task_attempt (
  task_id uuid not null,
  attempt integer not null,
  outcome v1.attempt_outcome not null,
  worker text,
  started_at timestamptz,
  finished_at timestamptz not null,
  error jsonb,
  primary key (task_id, attempt)
) partition by range (task_id);
--> statement-breakpoint
create table v1.task_output (
  task_id uuid primary key,
  output jsonb not null
) partition by range (task_id);
--> statement-breakpoint
create table v1.log_line (
  task_id uuid not null,
  attempt integer not null,
  number integer not null,
  logged_at timestamptz not null,
  level text not null,
  message text not null,
  fields jsonb,
  primary key (task_id, attempt, number)
) partition by range (task_id);
