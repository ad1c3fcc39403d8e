-- A workflow and the version that new runs are bound to; null when there is no such workflow.
create or replace function v1.read_active_version(p_tenant_id uuid, p_name text)
returns jsonb language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select v1.read_version(p_tenant_id, active_version_id) from v1.workflow where tenant_id = p_tenant_id and name = p_name
$$;
