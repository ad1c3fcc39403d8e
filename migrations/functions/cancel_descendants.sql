-- Cancels every task below failed ones: it waits for an output that will never come. Ends the runs
-- with nothing left.
--
-- Called by  complete_tasks, which holds the locks of the runs.
-- Returns    [{run, state}] of the runs that ended.
create or replace function v1.cancel_descendants(p_at timestamptz, p_failed uuid[])
returns jsonb language plpgsql
as $$
declare
  v_finished jsonb;
begin
  with below as (
    select distinct v1.task_id(r.id, d.step) as id, r.id as run_id
      from unnest(p_failed) f(id)
      join v1.task t on t.id = f.id
      join v1.workflow_run r on r.id = v1.run_id(f.id)
      join v1.dag failed on failed.version_id = r.version_id and failed.step = t.step
      join v1.dag d on d.version_id = r.version_id and d.step = any (failed.descendants)
  ), cancelled as (
    update v1.task t set state = 'cancelled', finished_at = p_at
      from below b where t.id = b.id and t.state = 'waiting'
      returning b.run_id
  ), counted as (
    select run_id, count(*) as tasks from cancelled group by run_id
  ), run as (
    update v1.workflow_run r
      set remaining = r.remaining - c.tasks,
          state = case when r.remaining = c.tasks then 'failed'::v1.run_state else r.state end,
          finished_at = case when r.remaining = c.tasks then p_at end
      from counted c where r.id = c.run_id
      returning r.id, r.state, r.remaining
  )
  select jsonb_agg(jsonb_build_object('run', id, 'state', state)) into v_finished
    from run where remaining = 0;
  return coalesce(v_finished, '[]');
end $$;
