-- Stored limits that a version names and that are not there.
--
-- Called by  register_workflow, activate_version, promote_version.
-- Returns    [name]; null when all are there.
create or replace function v1.unknown_limits(p_tenant_id uuid, p_limits text[])
returns jsonb language sql stable as $$
  select jsonb_agg(u.name order by u.name)
    from unnest(p_limits) u(name)
    where not exists (select from v1."limit" l where l.tenant_id = p_tenant_id and l.name = u.name)
$$;
