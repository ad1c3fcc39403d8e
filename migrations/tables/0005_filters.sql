-- What filters need: those that are stored, those that a version declares, and what came of them.

-- A condition under which an event starts a run of a workflow.
create table v1.filter (
  id uuid primary key,
  tenant_id uuid not null references v1.tenant (id),
  workflow_id uuid not null references v1.workflow (id),
  -- Null: for events of any scope.
  scope text,
  expression text not null,
  payload jsonb not null,
  -- [{path, keys}]: the equalities without which the expression is not true, to find it by.
  equalities jsonb not null,
  -- The tenant's definitions_version that this is of: an isolate reads what is newer than what it knows.
  version bigint not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
--> statement-breakpoint
create index filter_by_tenant on v1.filter (tenant_id, id);
--> statement-breakpoint
-- A workflow has a filter once: to store it again changes nothing.
create unique index filter_by_workflow
  on v1.filter (workflow_id, coalesce(scope, ''), md5(expression), md5(payload::text));
--> statement-breakpoint
create index filter_by_version on v1.filter (tenant_id, version);
--> statement-breakpoint
-- Those that are gone, for isolates that knew them.
create table v1.deleted_filter (
  tenant_id uuid not null references v1.tenant (id),
  version bigint not null,
  id uuid not null,
  deleted_at timestamptz not null default now(),
  primary key (tenant_id, version, id)
);
--> statement-breakpoint
create index deleted_filter_by_time on v1.deleted_filter (deleted_at);
--> statement-breakpoint
alter table v1.tenant
  -- How many filters there are, and their bytes: every isolate that takes events holds them all.
  add column filters integer not null default 0,
  add column filter_bytes bigint not null default 0,
  -- Deletions up to this definitions_version are forgotten: who knows no newer one reads everything.
  add column filters_forgotten bigint not null default 0;
--> statement-breakpoint
-- DeclaredFilterRow in database/definition-rows.ts; null: none.
alter table v1.workflow_version add column filters jsonb;
--> statement-breakpoint
alter table v1.event
  add column scope text,
  add column replay_of uuid;
--> statement-breakpoint
create index event_by_tenant on v1.event (tenant_id, id);
--> statement-breakpoint
create index event_by_key on v1.event (tenant_id, key, id);
--> statement-breakpoint
alter table v1.workflow_run
  add column filter_id uuid,
  add column filter_payload jsonb;
--> statement-breakpoint
-- Filters that could not be evaluated for an event.
create table v1.filter_failure (
  event_id uuid not null,
  filter_id uuid not null,
  error jsonb not null,
  primary key (event_id, filter_id)
) partition by range (event_id);
--> statement-breakpoint
create index filter_failure_by_filter on v1.filter_failure (filter_id, event_id);
