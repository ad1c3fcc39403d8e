-- Pauses a workflow: its new runs are held until it is resumed, or are not started at all. Runs that
-- have been started go on.
--
-- Called by  the edge Worker. A second time changes the mode only.
-- Locks      the definitions (exclusive), so that no run that was resolved before starts after.
-- Returns    as read_active_version; null when there is no such workflow.
create or replace function v1.pause_workflow(p_tenant_id uuid, p_name text, p_mode v1.pause_mode)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform pg_advisory_xact_lock(v1.definitions_lock(p_tenant_id));
  update v1.workflow set paused_at = coalesce(paused_at, now()), pause_mode = p_mode
    where tenant_id = p_tenant_id and name = p_name and pause_mode is distinct from p_mode;
  if found then
    update v1.tenant set definitions_version = definitions_version + 1 where id = p_tenant_id;
  end if;
  return v1.read_active_version(p_tenant_id, p_name);
end $$;
