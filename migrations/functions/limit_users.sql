-- The workflows whose active version names a stored limit, by name.
create or replace function v1.limit_users(p_tenant_id uuid, p_name text)
returns jsonb language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_agg(w.name order by w.name), '[]')
    from v1.workflow w join v1.workflow_version v on v.id = w.active_version_id
    where w.tenant_id = p_tenant_id and p_name = any (v.limits)
$$;
