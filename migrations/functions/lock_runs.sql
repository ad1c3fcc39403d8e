-- Locks runs, in the order of their ids, so that overlapping batches wait for each other instead of
-- deadlocking. Whoever holds a run's lock may change the run and its tasks.
create or replace function v1.lock_runs(p_tenant_id uuid, p_runs uuid[])
returns void language plpgsql as $$
begin
  perform 1 from (select distinct u.id from unnest(p_runs) u(id)) u
    join v1.workflow_run w on w.id = u.id and w.tenant_id = p_tenant_id
    order by w.id for no key update of w;
end $$;
