-- Stores a limit, or another definition of it. Shards are told with their next commit.
--
-- Called by  the edge Worker, which has checked the definition, and nudges the shards afterwards.
-- Locks      the tenant's row: limits change one at a time.
-- p_most     how many limits there may be
-- Returns    {name, definition, created_at, updated_at, created, version: of all limits}; null: there are as many as there may be.
create or replace function v1.put_limit(p_tenant_id uuid, p_name text, p_definition jsonb, p_most integer)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_known jsonb;
  v_stored v1."limit";
begin
  perform from v1.tenant where id = p_tenant_id for update;
  select definition into v_known from v1."limit" where tenant_id = p_tenant_id and name = p_name;
  if v_known is null and (select count(*) from v1."limit" where tenant_id = p_tenant_id) >= p_most then
    return null;
  end if;
  if v_known is distinct from p_definition then
    update v1.tenant set limits_version = limits_version + 1 where id = p_tenant_id;
    insert into v1."limit" (tenant_id, name, definition) values (p_tenant_id, p_name, p_definition)
      on conflict (tenant_id, name) do update set definition = excluded.definition, updated_at = now();
  end if;
  select * into v_stored from v1."limit" where tenant_id = p_tenant_id and name = p_name;
  return to_jsonb(v_stored) - 'tenant_id' || jsonb_build_object(
    'created', v_known is null, 'version', (select limits_version from v1.tenant where id = p_tenant_id));
end $$;
