-- Locks runs, in the order of their ids, so that overlapping batches wait for each other instead of
-- deadlocking. Whoever holds a run's lock may change the run and its tasks.
--
-- Looks each run up for itself: `offset 0` keeps the planner from joining the other way round, which
-- on a table that it believes to be empty means reading all of it for each batch.
create or replace function v1.lock_runs(p_tenant_id uuid, p_runs uuid[])
returns void language plpgsql as $$
begin
  perform 1 from (select distinct u.id from unnest(p_runs) u(id) order by u.id) u
    cross join lateral (
      select from v1.workflow_run w where w.id = u.id and w.tenant_id is not distinct from p_tenant_id
        offset 0 for no key update
    ) locked;
end $$;
