-- Deletes a stored limit, unless the active version of a workflow names it. Runs of older versions that
-- name it go on without it.
--
-- Called by  the edge Worker, which nudges the shards afterwards.
-- Locks      the definitions (exclusive), so that no registration names it meanwhile, then the tenant's row.
-- Returns    {deleted, usedBy: [workflows], version: of all limits}
create or replace function v1.delete_limit(p_tenant_id uuid, p_name text)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_used_by jsonb;
  v_deleted boolean := false;
begin
  perform pg_advisory_xact_lock(v1.definitions_lock(p_tenant_id));
  v_used_by := v1.limit_users(p_tenant_id, p_name);
  if v_used_by = '[]' then
    perform from v1.tenant where id = p_tenant_id for update;
    delete from v1."limit" where tenant_id = p_tenant_id and name = p_name;
    v_deleted := found;
    if found then
      update v1.tenant set limits_version = limits_version + 1 where id = p_tenant_id;
    end if;
  end if;
  return jsonb_build_object(
    'deleted', v_deleted, 'usedBy', v_used_by,
    'version', (select limits_version from v1.tenant where id = p_tenant_id));
end $$;
