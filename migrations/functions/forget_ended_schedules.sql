-- Forgets schedules of one run that have started it, or could not, a week after: at most ten thousand a call so
-- that it stays short. Their runs stay.
--
-- Called by  the edge Worker's clock, once a minute.
create or replace function v1.forget_ended_schedules(p_now timestamptz default now())
returns bigint language sql security definer set search_path = pg_catalog, pg_temp as $$
  with ended as (
    select id from v1.schedule where ended_at <= p_now - interval '7 days' and not is_declared
      order by ended_at limit 10000 for update skip locked
  ), forgotten as (
    delete from v1.schedule s using ended e where s.id = e.id returning 1
  )
  select count(*) from forgotten
$$;
