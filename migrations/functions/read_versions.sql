-- The DAGs of versions, as a shard keeps them in memory: they never change.
create or replace function v1.read_versions(p_tenant_id uuid, p_versions uuid[])
returns jsonb language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object(
      'id', v.id, 'workflow', w.name, 'workflowId', w.id, 'number', v.number,
      'steps', (select jsonb_agg(jsonb_build_object(
                                   'name', d.name, 'action', d.action, 'kind', d.kind,
                                   'isRoot', d.kind = 'step' and cardinality(d.parents) = 0,
                                   'children', d.children, 'timeoutMs', d.timeout_ms)
                                 || jsonb_strip_nulls(jsonb_build_object(
                                   'scheduleTimeoutMs', d.schedule_timeout_ms, 'retry', d.retry,
                                   'dispatch', d.dispatch, 'gate', d.gate)) order by d.step)
                  from v1.dag d where d.version_id = v.id))
      || jsonb_strip_nulls(jsonb_build_object('dispatch', v.dispatch))), '[]')
    from v1.workflow_version v join v1.workflow w on w.id = v.workflow_id
    where v.id = any (p_versions) and w.tenant_id = p_tenant_id
$$;
