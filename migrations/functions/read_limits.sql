-- A tenant's stored limits, with the number that each change of them raises: LimitsRow in
-- database/rows.ts.
create or replace function v1.read_limits(p_tenant_id uuid)
returns jsonb language sql stable as $$
  select jsonb_build_object('version', t.limits_version, 'limits', coalesce((
      select jsonb_agg(l.definition || jsonb_build_object('name', l.name) order by l.name)
        from v1."limit" l where l.tenant_id = t.id), '[]'))
    from v1.tenant t where t.id = p_tenant_id
$$;
