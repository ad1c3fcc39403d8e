-- Binds all new runs of a workflow to its active version again. Nothing happens when no version is promoted.
--
-- Called by  the edge Worker.
-- Locks      the definitions (exclusive), so that no run that was resolved before starts after.
-- p          {tenant, name, change: id of the change, actor, reason}
-- Returns    {workflow: as read_active_version}, or {refused: workflow_not_found}
create or replace function v1.end_promotion(p jsonb)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_tenant uuid := (p->>'tenant')::uuid;
  v_workflow uuid;
  v_version uuid;
begin
  perform pg_advisory_xact_lock(v1.definitions_lock(v_tenant));
  select id into v_workflow from v1.workflow where tenant_id = v_tenant and name = p->>'name';
  if not found then return '{"refused": "workflow_not_found"}'; end if;
  v_version := v1.forget_promotion(v_workflow);
  if v_version is not null then
    update v1.tenant set definitions_version = definitions_version + 1 where id = v_tenant;
    insert into v1.workflow_change (id, workflow_id, kind, version_id, is_active, actor, reason)
      values ((p->>'change')::uuid, v_workflow, 'promotion_ended', v_version, false, p->>'actor', p->>'reason');
  end if;
  return jsonb_build_object('workflow', v1.read_active_version(v_tenant, p->>'name'));
end $$;
