-- What limits need: those that are stored, what a version is under, and the lanes of the queue.

create table v1."limit" (
  tenant_id uuid not null references v1.tenant (id),
  name text not null,
  -- PutLimit in protocol/http.ts.
  definition jsonb not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, name)
);
--> statement-breakpoint
-- Raised by every change of a stored limit; a shard that knows another number is told the limits.
alter table v1.tenant add column limits_version bigint not null default 0;
--> statement-breakpoint
alter table v1.workflow_version
  -- VersionDispatch in database/rows.ts; null: nothing but defaults.
  add column dispatch jsonb,
  -- Stored limits that it names, in its steps as well.
  add column limits text[];
--> statement-breakpoint
alter table v1.dag add column dispatch jsonb;
--> statement-breakpoint
alter table v1.workflow_run add column priority smallint;
--> statement-breakpoint
-- A lane: tasks that wait for the same. Shards number them; 0 has what is not sorted yet, and what waits
-- for nothing but a slot.
alter table v1.queue_item add column lane bigint not null default 0;
--> statement-breakpoint
-- A ready task is in the queue once, whatever its lane.
alter table v1.queue_item drop constraint queue_item_pkey, add primary key (task_id);
--> statement-breakpoint
create index queue_item_by_lane on v1.queue_item (tenant_id, shard, action, lane, task_id);
--> statement-breakpoint
alter type v1.attempt_outcome add value 'put_back' before 'cancelled';
