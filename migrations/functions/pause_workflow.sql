-- Pauses a workflow: its new runs are held until it is resumed, or are not started at all. Runs that
-- have been started go on.
--
-- Called by  the edge Worker. A second time changes the mode only.
-- Locks      the definitions (exclusive), so that no run that was resolved before starts after.
-- Returns    as read_active_version; null when there is no such workflow.
drop function if exists v1.pause_workflow(uuid, text, v1.pause_mode);
create or replace function v1.pause_workflow(
  p_tenant_id uuid, p_name text, p_mode v1.pause_mode, p_change uuid default v1.new_run_id(now()),
  p_actor text default null)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform pg_advisory_xact_lock(v1.definitions_lock(p_tenant_id));
  update v1.workflow set paused_at = coalesce(paused_at, now()), pause_mode = p_mode
    where tenant_id = p_tenant_id and name = p_name and pause_mode is distinct from p_mode;
  if found then
    update v1.tenant set definitions_version = definitions_version + 1 where id = p_tenant_id;
    insert into v1.workflow_change (id, workflow_id, kind, version_id, is_active, actor, details)
      select p_change, w.id, 'paused', w.active_version_id, true, p_actor, jsonb_build_object('mode', p_mode)
        from v1.workflow w where w.tenant_id = p_tenant_id and w.name = p_name;
  end if;
  return v1.read_active_version(p_tenant_id, p_name);
end $$;
