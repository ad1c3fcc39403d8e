-- The advisory lock of a tenant's definitions: shared by commits that start runs, exclusive for a
-- change of what starts them (rule R8).
create or replace function v1.definitions_lock(p_tenant_id uuid)
returns bigint language sql immutable strict parallel safe as $$
  select hashtextextended('skein/definitions/' || p_tenant_id::text, 0)
$$;
