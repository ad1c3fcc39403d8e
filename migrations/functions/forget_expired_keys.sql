-- Forgets idempotency keys whose day is over, at most ten thousand a call so that it stays short.
--
-- Called by  the edge Worker's clock, once a minute.
create or replace function v1.forget_expired_keys(p_now timestamptz default now())
returns bigint language sql security definer set search_path = pg_catalog, pg_temp as $$
  with expired as (
    select tenant_id, kind, key from v1.idempotency where expires_at <= p_now
      order by expires_at limit 10000 for update skip locked
  ), forgotten as (
    delete from v1.idempotency i using expired e
      where i.tenant_id = e.tenant_id and i.kind = e.kind and i.key = e.key returning 1
  )
  select count(*) from forgotten
$$;
