-- Which versions new runs are bound to, who changed that, and that no version ever changes.

create type v1.workflow_change_kind as enum
  ('registered', 'activated', 'rolled_back', 'promoted', 'promotion_ended', 'promotion_failed', 'paused', 'resumed');
--> statement-breakpoint
-- Everything that was ever changed about a workflow: added to, never altered.
create table v1.workflow_change (
  id uuid primary key,
  workflow_id uuid not null references v1.workflow (id),
  changed_at timestamptz not null default now(),
  kind v1.workflow_change_kind not null,
  -- The version that it is about; the one that was active before, where that has changed.
  version_id uuid not null references v1.workflow_version (id),
  previous_version_id uuid references v1.workflow_version (id),
  -- Whether the version is the active one since.
  is_active boolean not null,
  -- The name of the API token; null: Skein itself.
  actor text,
  reason text,
  details jsonb
);
--> statement-breakpoint
create index workflow_change_by_workflow on v1.workflow_change (workflow_id, id);
--> statement-breakpoint
-- Versions from before changes were written down: all of them have been active.
insert into v1.workflow_change (id, workflow_id, changed_at, kind, version_id, is_active)
  select id, workflow_id, created_at, 'registered', id, true from v1.workflow_version;
--> statement-breakpoint
-- A version that takes a share of a workflow's new runs, beside the active one.
create table v1.promotion (
  workflow_id uuid primary key references v1.workflow (id),
  tenant_id uuid not null references v1.tenant (id),
  version_id uuid not null references v1.workflow_version (id),
  -- In hundredths of a percent.
  share smallint not null check (share between 0 and 10000),
  -- Where in {input, metadata} the value is by which runs stay together; null: each for itself.
  key_path text[],
  -- {failureRate, windowMs, minimumRuns}: when it ends by itself; null: never.
  rollback_when jsonb,
  started_at timestamptz not null default now()
);
--> statement-breakpoint
create index promotion_by_tenant on v1.promotion (tenant_id);
--> statement-breakpoint
-- Runs of promoted versions that have ended lately, as each shard has counted them.
create table v1.promotion_count (
  version_id uuid not null references v1.workflow_version (id),
  slice bigint not null,
  shard smallint not null,
  ended integer not null,
  failed integer not null,
  primary key (version_id, slice, shard)
);
--> statement-breakpoint
create function v1.keep_versions() returns trigger language plpgsql as $$
declare
  v_version uuid;
begin
  if tg_op = 'DELETE' then
    v_version := case tg_table_name when 'dag' then to_jsonb(old)->>'version_id' else to_jsonb(old)->>'id' end;
    if not exists (select from v1.workflow where active_version_id = v_version)
       and not exists (select from v1.workflow_run r join v1.workflow_version v on v.workflow_id = r.workflow_id
                         where v.id = v_version and r.version_id = v.id) then
      return old;
    end if;
  end if;
  raise exception 'a workflow version never changes, and stays while it is active or a run is bound to it'
    using errcode = 'restrict_violation',
          hint = 'Register the changed definition: it becomes a new version.';
end $$;
--> statement-breakpoint
create trigger keep_versions before update or delete on v1.workflow_version
  for each row execute function v1.keep_versions();
--> statement-breakpoint
create trigger keep_versions before update or delete on v1.dag
  for each row execute function v1.keep_versions();
--> statement-breakpoint
create trigger keep_all_versions before truncate on v1.workflow_version
  for each statement execute function v1.keep_versions();
--> statement-breakpoint
create trigger keep_all_versions before truncate on v1.dag
  for each statement execute function v1.keep_versions();
