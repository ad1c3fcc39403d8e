-- Tenants that have a schedule which is due: their clock must have an alarm to come.
--
-- Called by  the edge Worker's clock, once a minute, as busy_shards.
-- p_turn     another one each time
-- Returns    p_most of them at most, not the same at each turn.
drop function if exists v1.overdue_clocks();
create or replace function v1.overdue_clocks(p_most integer default 1000, p_turn bigint default 0)
returns jsonb language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_agg(o.id), '[]') from (
    select t.id
      from v1.tenant t
      where exists (select from v1.schedule s where s.tenant_id = t.id and s.due_at <= now())
      order by hashtextextended(t.id::text, p_turn)
      limit p_most) o
$$;
