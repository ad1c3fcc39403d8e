-- Deletes a stored filter.
--
-- Called by  the edge Worker.
-- Locks      the definitions (exclusive), so that no commit matched by it lands after.
-- Returns    whether there was one
create or replace function v1.delete_filter(p_tenant_id uuid, p_id uuid)
returns boolean language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_version bigint;
  v_bytes bigint;
begin
  perform pg_advisory_xact_lock(v1.definitions_lock(p_tenant_id));
  delete from v1.filter where id = p_id and tenant_id = p_tenant_id
    returning v1.filter_bytes(expression, payload) into v_bytes;
  if not found then return false; end if;
  update v1.tenant
    set definitions_version = definitions_version + 1, filters = filters - 1, filter_bytes = filter_bytes - v_bytes
    where id = p_tenant_id returning definitions_version into v_version;
  insert into v1.deleted_filter (tenant_id, version, id) values (p_tenant_id, v_version, p_id);
  return true;
end $$;
