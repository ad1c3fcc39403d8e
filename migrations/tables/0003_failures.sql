-- What failure needs: moments to come, retries and rescues, children, what undoes a step, replays,
-- pauses, and events that cancel.

create type v1.step_kind as enum ('step', 'compensate', 'on_failure');
--> statement-breakpoint
create type v1.timer_kind as enum ('retry', 'timeout', 'cancel', 'release', 'match');
--> statement-breakpoint
create type v1.match_kind as enum ('cancel');
--> statement-breakpoint
create type v1.pause_mode as enum ('hold', 'drop');
--> statement-breakpoint
alter table v1.workflow
  add column paused_at timestamptz,
  add column pause_mode v1.pause_mode,
  add check ((paused_at is null) = (pause_mode is null));
--> statement-breakpoint
-- Thirty days, the longest timeouts, are more milliseconds than an integer holds.
alter table v1.workflow_version
  add column timeout_ms bigint,
  -- Which events cancel its runs: CancelOnRow in database/rows.ts; null: none.
  add column cancel_on jsonb;
--> statement-breakpoint
create index workflow_version_with_cancel_on on v1.workflow_version (workflow_id)
  where cancel_on is not null;
--> statement-breakpoint
-- Only rows of kind `step` are the graph. A `compensate` row names the step that it undoes, and as its
-- parents the steps whose outputs it is given.
alter table v1.dag
  add column kind v1.step_kind not null default 'step',
  add column schedule_timeout_ms bigint,
  add column compensates smallint,
  add column retry jsonb;
--> statement-breakpoint
-- Nothing of this changes while a run lives, but `error`, which changes once.
alter table v1.workflow_run
  -- The task that started it, and under which key: of a child.
  add column parent_id uuid,
  add column parent_key text,
  -- The run that it repeats, and the steps whose outputs are that run's.
  add column replay_of uuid,
  add column reused smallint[],
  add column timeout_ms bigint,
  -- Whether there may be rows of `match` to delete when it ends.
  add column has_matches boolean not null default false,
  -- Why it ended, when that was not a step: it was cancelled, or took too long.
  add column error jsonb;
--> statement-breakpoint
-- Attempts that failed or ran out of time, and attempts whose worker vanished.
alter table v1.task
  add column failures smallint not null default 0,
  add column rescues smallint not null default 0;
--> statement-breakpoint
-- When a task has been queued for too long.
alter table v1.queue_item add column expires_at timestamptz;
--> statement-breakpoint
create index queue_item_by_expiry on v1.queue_item (tenant_id, shard, expires_at)
  where expires_at is not null;
--> statement-breakpoint
-- The runs that a task has started. It is what makes a child unique over its parent's attempts.
create table v1.child_run (
  parent_id uuid not null,
  key text not null,
  run_id uuid not null,
  is_detached boolean not null,
  primary key (parent_id, key)
) partition by range (parent_id);
--> statement-breakpoint
-- What a shard must do at a moment: `retry` is of a task, `match` of an event, the others of a run. A
-- run that is held waits for infinity. An event may have a timer at several shards.
create table v1.timer (
  tenant_id uuid not null,
  shard smallint not null,
  id uuid not null,
  kind v1.timer_kind not null,
  due_at timestamptz not null,
  primary key (id, kind, shard)
);
--> statement-breakpoint
create index timer_by_due on v1.timer (tenant_id, shard, due_at);
--> statement-breakpoint
-- By which equalities the runs that wait for it are found; null when no run can.
alter table v1.event add column equalities bigint[];
--> statement-breakpoint
-- What unfinished runs wait for: an event of this key that has one of its equalities in common with
-- the row (equality_hash) and fulfils the condition. Gone with its run.
create table v1.match (
  tenant_id uuid not null,
  shard smallint not null,
  event_key text not null,
  equality bigint not null,
  run_id uuid not null,
  number smallint not null,
  kind v1.match_kind not null,
  condition text not null,
  primary key (run_id, number)
);
--> statement-breakpoint
create index match_by_event on v1.match (tenant_id, event_key, shard, equality, run_id, number);
