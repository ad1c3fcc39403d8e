-- Binds a workflow's new runs to a version, all of them: a promotion ends.
--
-- Called by  register_workflow, activate_version, under the lock of the definitions (exclusive).
-- Returns    the version that was active before; null when it is the same, or there was none.
create or replace function v1.set_active_version(p_tenant_id uuid, p_workflow_id uuid, p_version_id uuid)
returns uuid language plpgsql as $$
declare
  v_previous uuid;
begin
  select active_version_id into v_previous from v1.workflow where id = p_workflow_id;
  perform v1.forget_promotion(p_workflow_id);
  update v1.workflow set active_version_id = p_version_id where id = p_workflow_id;
  update v1.tenant set definitions_version = definitions_version + 1 where id = p_tenant_id;
  return nullif(v_previous, p_version_id);
end $$;
