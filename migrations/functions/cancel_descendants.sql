-- Cancels every task below failed ones: it waits for an output that will never come. Ends no run.
--
-- Called by  complete_tasks, under the locks of the runs.
drop function if exists v1.cancel_descendants(timestamptz, uuid[]);
create function v1.cancel_descendants(p_at timestamptz, p_failed uuid[])
returns void language plpgsql
as $$
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
  )
  update v1.workflow_run r set remaining = r.remaining - c.tasks
    from (select run_id, count(*) as tasks from cancelled group by run_id) c where r.id = c.run_id;
end $$;
