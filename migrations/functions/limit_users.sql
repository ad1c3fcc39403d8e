-- The workflows of which a version that new runs may be bound to names a stored limit, by name.
create or replace function v1.limit_users(p_tenant_id uuid, p_name text)
returns jsonb language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_agg(w.name order by w.name), '[]')
    from v1.workflow w
    where w.tenant_id = p_tenant_id and exists (
      select from v1.workflow_version v
        where p_name = any (v.limits) and (v.id = w.active_version_id or v.id in (
          select p.version_id from v1.promotion p where p.workflow_id = w.id)))
$$;
