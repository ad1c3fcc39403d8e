-- Who uses Skein, and what they have defined.

create table v1.tenant (
  id uuid primary key,
  name text not null unique,
  shards smallint not null default 1 check (shards between 1 and 1024),
  -- Raised by every change of what events start; a commit matched against an older number is refused.
  definitions_version bigint not null default 0,
  created_at timestamptz not null default now()
);
--> statement-breakpoint
create table v1.api_token (
  id uuid primary key,
  tenant_id uuid not null references v1.tenant (id),
  name text not null,
  prefix text not null,
  hash bytea not null unique,
  created_at timestamptz not null default now(),
  revoked_at timestamptz
);
--> statement-breakpoint
create index api_token_by_tenant on v1.api_token (tenant_id);
--> statement-breakpoint
create table v1.workflow (
  id uuid primary key,
  tenant_id uuid not null references v1.tenant (id),
  name text not null,
  active_version_id uuid,
  created_at timestamptz not null default now(),
  unique (tenant_id, name)
);
--> statement-breakpoint
create table v1.workflow_version (
  id uuid primary key,
  workflow_id uuid not null references v1.workflow (id),
  number integer not null,
  checksum text not null,
  definition jsonb not null,
  created_at timestamptz not null default now(),
  unique (workflow_id, number),
  unique (workflow_id, checksum)
);
--> statement-breakpoint
-- The steps and edges of a version: one row a step. Steps are numbered from 0 in the order of the
-- definition; edges point to those numbers.
create table v1.dag (
  version_id uuid not null references v1.workflow_version (id),
  step smallint not null,
  name text not null,
  action text not null,
  parents smallint[] not null,
  children smallint[] not null,
  descendants smallint[] not null,
  timeout_ms integer not null,
  primary key (version_id, step),
  unique (version_id, name)
);
