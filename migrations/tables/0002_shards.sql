-- What dispatch needs: which shard is alive, which ready tasks it holds, and which wait for it.

create table v1.shard (
  tenant_id uuid not null references v1.tenant (id),
  number smallint not null,
  -- Raised by each recovery: a commit of an older life is refused.
  epoch bigint not null,
  primary key (tenant_id, number)
);
--> statement-breakpoint
-- Ready tasks in a shard's memory or in a worker's hands. Row `seq` is what commit `seq` handed out.
create table v1.handout (
  tenant_id uuid not null,
  shard smallint not null,
  seq bigint not null,
  tasks uuid[] not null,
  primary key (tenant_id, shard, seq)
);
--> statement-breakpoint
-- Ready tasks that no shard holds. Ids carry the run's time, so this order is oldest run first.
create table v1.queue_item (
  tenant_id uuid not null,
  shard smallint not null,
  action text not null,
  task_id uuid not null,
  primary key (tenant_id, shard, action, task_id)
);
--> statement-breakpoint
-- What was asked for once and must not happen twice. Unpartitioned, because a unique key of a
-- partitioned table must contain the partition's column.
create table v1.idempotency (
  tenant_id uuid not null,
  kind text not null,
  key text not null,
  id uuid not null,
  expires_at timestamptz not null,
  primary key (tenant_id, kind, key)
);
--> statement-breakpoint
create index idempotency_by_expiry on v1.idempotency (expires_at);
