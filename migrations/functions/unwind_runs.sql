-- Unwinds runs that have failed and have nothing left: readies what comes next in each, one task at a
-- time, or ends it. First the compensations of its own completed steps, the last to finish first; then
-- what sees to a failed run.
--
-- Called by  complete_tasks and cancel_runs, under the locks of the runs.
-- Returns    ready: ids of ready tasks; ended: the runs that have failed for good.
create or replace function v1.unwind_runs(
  p_at timestamptz, p_runs uuid[], out ready uuid[], out ended uuid[])
language plpgsql as $$
declare
  v_matched uuid[];
begin
  with next as (
    select r.id, coalesce(c.step, f.step) as step
      from unnest(p_runs) u(id)
      join v1.workflow_run r on r.id = u.id
      left join lateral (
        select d.step from v1.dag d
          join v1.dag own on own.version_id = d.version_id and own.step = d.compensates
          join v1.task t on t.id = v1.task_id(r.id, own.step) and t.state = 'completed'
          where d.version_id = r.version_id and d.kind = 'compensate'
            and (t.step = any (r.reused)) is not true
            and not exists (select from v1.task c where c.id = v1.task_id(r.id, d.step))
          order by t.finished_at desc, cardinality(own.descendants), t.step desc limit 1
      ) c on true
      left join lateral (
        select d.step from v1.dag d
          where d.version_id = r.version_id and d.kind = 'on_failure'
            and not exists (select from v1.task f where f.id = v1.task_id(r.id, d.step))
      ) f on true
      where v1.run_id(u.id) = u.id
  ), inserted as (
    insert into v1.task (id, state, step, pending, children, queued_at)
      select v1.task_id(id, step), 'queued', step, 0, 0, p_at from next where step is not null
  ), run as (
    update v1.workflow_run r
      set remaining = (n.step is not null)::integer,
          state = case when n.step is null then 'failed'::v1.run_state else 'running' end,
          finished_at = case when n.step is null then p_at end
      from next n where r.id = n.id
      returning r.id, r.has_matches, n.step
  )
  select array_agg(v1.task_id(id, step)) filter (where step is not null),
         array_agg(id) filter (where step is null),
         array_agg(id) filter (where step is null and has_matches)
    into ready, ended, v_matched from run;
  if v_matched is not null then
    delete from v1.match where run_id = any (v_matched);
  end if;
end $$;
