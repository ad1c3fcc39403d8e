-- A workflow and the version that new runs are bound to; null when there is no such workflow.
create or replace function v1.read_active_version(p_tenant_id uuid, p_name text)
returns jsonb language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object(
      'id', w.id, 'name', w.name, 'created_at', w.created_at, 'definition', v.definition,
      'paused', case when w.pause_mode is not null
                     then jsonb_build_object('at', w.paused_at, 'mode', w.pause_mode) end,
      'version', jsonb_build_object('id', v.id, 'number', v.number, 'checksum', v.checksum,
                                    'created_at', v.created_at))
    from v1.workflow w join v1.workflow_version v on v.id = w.active_version_id
    where w.tenant_id = p_tenant_id and w.name = p_name
$$;
