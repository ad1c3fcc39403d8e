-- A workflow and one of its versions, with the number of the active one and the version that is promoted.
--
-- Called by  read_active_version, register_workflow, and the edge Worker to read and list.
-- Returns    WorkflowRow in database/definition-rows.ts
create or replace function v1.read_version(p_tenant_id uuid, p_version_id uuid)
returns jsonb language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object(
      'id', w.id, 'name', w.name, 'created_at', w.created_at, 'definition', v.definition,
      'paused', case when w.pause_mode is not null
                     then jsonb_build_object('at', w.paused_at, 'mode', w.pause_mode) end,
      'version', jsonb_build_object('id', v.id, 'number', v.number, 'checksum', v.checksum,
                                    'created_at', v.created_at),
      'active', a.number,
      'promotion', (
        select jsonb_build_object('version', c.number, 'share', p.share, 'key', p.key_path,
                                  'rollbackWhen', p.rollback_when, 'started_at', p.started_at)
          from v1.promotion p join v1.workflow_version c on c.id = p.version_id where p.workflow_id = w.id))
    from v1.workflow_version v
    join v1.workflow w on w.id = v.workflow_id
    join v1.workflow_version a on a.id = w.active_version_id
    where v.id = p_version_id and w.tenant_id = p_tenant_id
$$;
