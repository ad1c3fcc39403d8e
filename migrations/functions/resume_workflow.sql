-- Resumes a paused workflow: new runs start again, and the timers of those that are held are due.
--
-- Called by  the edge Worker, which then nudges the shards.
-- Locks      the definitions (exclusive): no run that was resolved while the workflow was paused can be
--            held after this.
-- Returns    as read_active_version, with shards: those that have runs to release; null when there is
--            no such workflow.
drop function if exists v1.resume_workflow(uuid, text);
create or replace function v1.resume_workflow(
  p_tenant_id uuid, p_name text, p_change uuid default v1.new_run_id(now()), p_actor text default null)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_workflow uuid;
  v_shards jsonb;
begin
  perform pg_advisory_xact_lock(v1.definitions_lock(p_tenant_id));
  select id into v_workflow from v1.workflow where tenant_id = p_tenant_id and name = p_name;
  update v1.workflow set paused_at = null, pause_mode = null
    where id = v_workflow and pause_mode is not null;
  if found then
    update v1.tenant set definitions_version = definitions_version + 1 where id = p_tenant_id;
    insert into v1.workflow_change (id, workflow_id, kind, version_id, is_active, actor)
      select p_change, w.id, 'resumed', w.active_version_id, true, p_actor
        from v1.workflow w where w.id = v_workflow;
  end if;
  -- From the timers to their runs: a workflow has many runs, and few that are held.
  -- By id, as whoever cancels such runs locks them.
  update v1.timer t set due_at = now()
    from (select h.id from v1.timer h
            where h.tenant_id = p_tenant_id and h.kind = 'release' and h.due_at = 'infinity'
              and (select r.workflow_id from v1.workflow_run r where r.id = h.id) = v_workflow
            order by h.id for update) held
    where t.id = held.id and t.kind = 'release';
  select coalesce(jsonb_agg(distinct t.shard), '[]') into v_shards
    from v1.timer t
    where t.tenant_id = p_tenant_id and t.kind = 'release' and t.due_at <= now()
      and (select r.workflow_id from v1.workflow_run r where r.id = t.id) = v_workflow;
  return v1.read_active_version(p_tenant_id, p_name) || jsonb_build_object('shards', v_shards);
end $$;
