-- What starts runs later: delays, and schedules with their ticks.

alter table v1.workflow_run
  -- When its first tasks may begin, if it was started with a delay.
  add column starts_at timestamptz,
  -- The schedule that started it, and the tick that it was started for; null: it was triggered by hand.
  add column schedule_id uuid,
  add column tick timestamptz;
--> statement-breakpoint
create index workflow_run_by_schedule on v1.workflow_run (schedule_id, id) where schedule_id is not null;
--> statement-breakpoint
create type v1.overlap as enum ('allow', 'skip', 'cancel-previous');
--> statement-breakpoint
create type v1.catch_up as enum ('none', 'last', 'all');
--> statement-breakpoint
-- Starts runs of a workflow: at each tick of a cron expression, or once.
create table v1.schedule (
  id uuid primary key,
  tenant_id uuid not null references v1.tenant (id),
  workflow_id uuid not null references v1.workflow (id),
  -- Known by it within its workflow; null: by its id alone.
  name text,
  -- Of a cron; its time zone is IANA's name.
  cron text,
  timezone text,
  -- Of one that starts one run.
  at timestamptz,
  input jsonb not null,
  metadata jsonb not null,
  priority smallint,
  overlap v1.overlap not null,
  catch_up v1.catch_up not null,
  catch_up_limit smallint not null,
  jitter_ms integer not null,
  -- The workflow's active version declares it.
  is_declared boolean not null,
  is_enabled boolean not null default true,
  -- Raised by every change, and by every tick: who acts on an older one does nothing.
  revision bigint not null default 0,
  -- Ticks until then have been seen to.
  seen_until timestamptz not null,
  -- When its clock has to see to it; null: never. Of a cron not before its next tick.
  due_at timestamptz,
  next_tick timestamptz,
  last_tick timestamptz,
  last_run_id uuid,
  -- Ticks that started no run: because of the run before, or of a pause; and because they were missed.
  skipped bigint not null default 0,
  missed bigint not null default 0,
  last_skipped_tick timestamptz,
  -- Since when nothing can come of it any more.
  ended_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  check ((cron is null) = (timezone is null) and (cron is null) <> (at is null))
);
--> statement-breakpoint
create index schedule_by_due on v1.schedule (tenant_id, due_at) where due_at is not null;
--> statement-breakpoint
create index schedule_by_tenant on v1.schedule (tenant_id, id);
--> statement-breakpoint
create index schedule_by_workflow on v1.schedule (workflow_id, id);
--> statement-breakpoint
create index schedule_with_cron on v1.schedule (tenant_id, id) where cron is not null;
--> statement-breakpoint
create unique index schedule_by_name on v1.schedule (workflow_id, name, is_declared) where name is not null;
--> statement-breakpoint
create index schedule_by_end on v1.schedule (ended_at) where ended_at is not null;
