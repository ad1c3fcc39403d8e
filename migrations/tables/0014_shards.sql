-- How many shards a tenant has is changed while it is at work. Each change has a number: `shards_version` of any
-- of them, `shards_since` of the last that changed which shard owns what.

alter table v1.tenant add column shards_version bigint not null default 1;
--> statement-breakpoint
alter table v1.tenant add column shards_since bigint not null default 1;
--> statement-breakpoint
-- A shard beyond the tenant's number finishes what it has, and is closed when it has nothing.
alter table v1.shard add column closed_at timestamptz;
