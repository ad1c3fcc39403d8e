-- Moves schedules on to their next ticks, each only if it is still as it was read: so a tick starts its runs
-- once, whoever else is at it.
--
-- Called by  commit, before the runs that the ticks start; and by the tenant's clock, for ticks that start none.
-- Locks      the schedules, by id.
-- p_definitions  what the runs of the commit are resolved by: ticks whose runs are resolved by others stay.
-- p_moves    [{s: schedule, v: the revision that was read, u: ticks until then are seen to, n: the next tick, d:
--            when that is due (absent: nothing follows), l: the last tick that started a run, lr: that run,
--            k, kt: ticks that were skipped and the last of them, m: ticks that were missed, g: definitions
--            version and r: [runs] of those it starts}]
-- Returns    {run: 'moved'} for runs of ticks that somebody else has seen to: they are not to be started
create or replace function v1.move_schedules(
  p_tenant_id uuid, p_at timestamptz, p_definitions bigint, p_moves jsonb)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_moved bigint[];
begin
  perform 1 from v1.schedule
    where id = any (array(select x.s from jsonb_to_recordset(p_moves) as x(s uuid))) order by id for update;
  with asked as (
    -- Two clocks may be in one commit: the first of them moves it.
    select distinct on (x.s) x.*
      from rows from (jsonb_to_recordset(p_moves) as (
             s uuid, v bigint, u double precision, n double precision, d double precision, l double precision, lr uuid,
             k bigint, kt double precision, m bigint, g bigint)) with ordinality
        as x(s, v, u, n, d, l, lr, k, kt, m, g, position)
      join v1.schedule s on s.id = x.s and s.tenant_id is not distinct from p_tenant_id and s.revision = x.v
      where x.g is not distinct from p_definitions
      order by x.s, x.position
  ), moved as (
    update v1.schedule s
      set revision = s.revision + 1, seen_until = v1.moment(x.u), next_tick = v1.moment(x.n), due_at = v1.moment(x.d),
          last_tick = coalesce(v1.moment(x.l), s.last_tick), last_run_id = coalesce(x.lr, s.last_run_id),
          skipped = s.skipped + coalesce(x.k, 0), missed = s.missed + coalesce(x.m, 0),
          last_skipped_tick = coalesce(v1.moment(x.kt), s.last_skipped_tick),
          ended_at = case when x.d is null then p_at end
      from asked x where s.id = x.s
      returning x.position
  )
  select coalesce(array_agg(position), '{}') into v_moved from moved;
  return (
    select coalesce(jsonb_object_agg(r.run, 'moved'), '{}')
      from rows from (jsonb_to_recordset(p_moves) as (g bigint, r uuid[])) with ordinality as x(g, r, position)
      cross join unnest(x.r) r(run)
      where x.position <> all (v_moved) and x.g is not distinct from p_definitions
        -- Started by this very request, before its answer was lost.
        and not exists (select from v1.workflow_run w
                          where w.id = r.run and w.tenant_id is not distinct from p_tenant_id));
end $$;
