-- Forgets which filters were deleted more than an hour ago. An isolate that knows nothing newer reads all
-- filters again.
--
-- Called by  the edge Worker's clock, once a minute.
-- Returns    how many it forgot
create or replace function v1.forget_deleted_filters(p_now timestamptz default now())
returns bigint language sql security definer set search_path = pg_catalog, pg_temp as $$
  with gone as (
    delete from v1.deleted_filter where deleted_at < p_now - interval '1 hour' returning tenant_id, version
  ), told as (
    update v1.tenant t set filters_forgotten = greatest(t.filters_forgotten, g.version)
      from (select tenant_id, max(version) as version from gone group by tenant_id) g
      where t.id = g.tenant_id returning 1
  )
  select (select count(*) from gone) + 0 * (select count(*) from told)
$$;
