-- Tenants that have a schedule which is due: their clock must have an alarm to come.
--
-- Called by  the edge Worker's clock, once a minute, as busy_shards.
create or replace function v1.overdue_clocks()
returns jsonb language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_agg(t.id), '[]')
    from v1.tenant t
    where exists (select from v1.schedule s where s.tenant_id = t.id and s.due_at <= now())
$$;
