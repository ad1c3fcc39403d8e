-- Binds a workflow's new runs to another of its versions. Nothing happens when they are bound to it already
-- and none is promoted beside it.
--
-- Called by  the edge Worker: with a number, or to roll back, without one: to the newest version older than the
--            active one that has been active.
-- Locks      the definitions (exclusive), so that no run that was resolved before starts after.
-- p          {tenant, name, number, rollback, from: nothing happens unless this number is the active one's, so
--            that it may be said twice, change: id of the change, actor, reason}
-- Returns    {workflow: as read_active_version}, or {refused: workflow_not_found, version_not_found or
--            nothing_to_roll_back}, or {unknownLimits: [names]}
create or replace function v1.activate_version(p jsonb)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_tenant uuid := (p->>'tenant')::uuid;
  v_is_rollback boolean := coalesce((p->>'rollback')::boolean, false);
  v_workflow record;
  v_version record;
  v_unknown jsonb;
  v_previous uuid;
begin
  perform pg_advisory_xact_lock(v1.definitions_lock(v_tenant));
  select w.id, w.active_version_id, a.number into v_workflow
    from v1.workflow w join v1.workflow_version a on a.id = w.active_version_id
    where w.tenant_id = v_tenant and w.name = p->>'name';
  if not found then return '{"refused": "workflow_not_found"}'; end if;
  if (p->>'from')::integer <> v_workflow.number then
    return jsonb_build_object('workflow', v1.read_active_version(v_tenant, p->>'name'));
  end if;
  select v.id, v.limits into v_version
    from v1.workflow_version v
    where v.workflow_id = v_workflow.id
      and case when p->>'number' is not null then v.number = (p->>'number')::integer
               else v.number < v_workflow.number and exists (
                 select from v1.workflow_change c where c.version_id = v.id and c.is_active) end
    order by v.number desc limit 1;
  if not found then
    return jsonb_build_object('refused', case when p->>'number' is null then 'nothing_to_roll_back'
                                              else 'version_not_found' end);
  end if;
  v_unknown := v1.unknown_limits(v_tenant, v_version.limits);
  if v_unknown is not null then return jsonb_build_object('unknownLimits', v_unknown); end if;
  if v_version.id <> v_workflow.active_version_id
     or exists (select from v1.promotion where workflow_id = v_workflow.id) then
    v_previous := v1.set_active_version(v_tenant, v_workflow.id, v_version.id);
    insert into v1.workflow_change (id, workflow_id, kind, version_id, previous_version_id, is_active, actor, reason)
      values ((p->>'change')::uuid, v_workflow.id,
              case when v_is_rollback then 'rolled_back'::v1.workflow_change_kind else 'activated' end,
              v_version.id, v_previous, true, p->>'actor', p->>'reason');
  end if;
  return jsonb_build_object('workflow', v1.read_active_version(v_tenant, p->>'name'));
end $$;
