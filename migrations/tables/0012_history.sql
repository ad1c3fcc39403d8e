-- How long history is kept, and histories that were brought here to be looked at.

alter table v1.tenant
  -- Days after its end that a run may be read; null: for ever, as for all tenants from before this was asked.
  add column retention_days smallint check (retention_days between 1 and 3650),
  -- Nothing of the tenant's is dropped for some days after a change, which may have been a mistake.
  add column retention_changed_at timestamptz;
--> statement-breakpoint
alter table v1.tenant alter column retention_days set default 90;
--> statement-breakpoint
-- What the clock knows of months to be dropped: one row.
create table v1.retention_look (
  is_only boolean primary key default true check (is_only),
  looked_at timestamptz not null
);
--> statement-breakpoint
insert into v1.retention_look (looked_at) values ('-infinity');
--> statement-breakpoint
-- Exports of runs, for inspection: nothing here is ever executed, and no part of it is history.
create table v1.imported_run (
  id uuid primary key,
  tenant_id uuid not null references v1.tenant (id),
  -- Of the document's text, which is kept as it came: an import is exported as the same bytes.
  checksum text not null,
  run_id uuid not null,
  workflow text not null,
  version integer not null,
  state v1.run_state not null,
  bytes integer not null,
  document text not null,
  imported_at timestamptz not null default now(),
  unique (tenant_id, checksum)
);
--> statement-breakpoint
create index imported_run_by_tenant on v1.imported_run (tenant_id, id);
