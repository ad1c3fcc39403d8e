-- Has a version take a share of a workflow's new runs, beside the active one; again: changes the share. One
-- version at a time: another one takes the place of the first.
--
-- Called by  the edge Worker.
-- Locks      the definitions (exclusive), so that no run that was resolved before starts after.
-- p          {tenant, name, number, share: in hundredths of a percent, key: path, rollbackWhen: {failureRate,
--            windowMs, minimumRuns}, change: id of the change, actor, reason}
-- Returns    as activate_version; refused also as version_active
create or replace function v1.promote_version(p jsonb)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_tenant uuid := (p->>'tenant')::uuid;
  v_key text[] := case when p ? 'key' then array(select jsonb_array_elements_text(p->'key')) end;
  v_workflow record;
  v_version record;
  v_before v1.promotion;
  v_unknown jsonb;
begin
  perform pg_advisory_xact_lock(v1.definitions_lock(v_tenant));
  select id, active_version_id into v_workflow from v1.workflow where tenant_id = v_tenant and name = p->>'name';
  if not found then return '{"refused": "workflow_not_found"}'; end if;
  select id, limits into v_version
    from v1.workflow_version where workflow_id = v_workflow.id and number = (p->>'number')::integer;
  if not found then return '{"refused": "version_not_found"}'; end if;
  if v_version.id = v_workflow.active_version_id then return '{"refused": "version_active"}'; end if;
  v_unknown := v1.unknown_limits(v_tenant, v_version.limits);
  if v_unknown is not null then return jsonb_build_object('unknownLimits', v_unknown); end if;

  select * into v_before from v1.promotion where workflow_id = v_workflow.id;
  if v_before.version_id is distinct from v_version.id then perform v1.forget_promotion(v_workflow.id); end if;
  insert into v1.promotion (workflow_id, tenant_id, version_id, share, key_path, rollback_when)
    values (v_workflow.id, v_tenant, v_version.id, (p->>'share')::smallint, v_key, p->'rollbackWhen')
    on conflict (workflow_id) do update
      set share = excluded.share, key_path = excluded.key_path, rollback_when = excluded.rollback_when
      where (promotion.share, promotion.key_path, promotion.rollback_when)
            is distinct from (excluded.share, excluded.key_path, excluded.rollback_when);
  if found then
    -- Slices of another width count for nothing.
    if v_before.rollback_when is distinct from p->'rollbackWhen' then
      delete from v1.promotion_count where version_id = v_version.id;
    end if;
    update v1.tenant set definitions_version = definitions_version + 1 where id = v_tenant;
    insert into v1.workflow_change (id, workflow_id, kind, version_id, is_active, actor, reason, details)
      values ((p->>'change')::uuid, v_workflow.id, 'promoted', v_version.id, false, p->>'actor', p->>'reason',
              jsonb_strip_nulls(jsonb_build_object('percent', (p->>'share')::numeric / 100, 'key', p->'key',
                                                   'rollbackWhen', p->'rollbackWhen')));
  end if;
  return jsonb_build_object('workflow', v1.read_active_version(v_tenant, p->>'name'));
end $$;
