-- Gives replays the tasks that they reuse, as the original run left them, with their outputs.
--
-- Called by  start_runs, which has just made the replays.
create or replace function v1.reuse_tasks(p_runs uuid[])
returns void language plpgsql as $$
begin
  with reused as (
    select v1.task_id(r.id, u.step) as id, v1.task_id(r.replay_of, u.step) as original
      from unnest(p_runs) p(id)
      join v1.workflow_run r on r.id = p.id
      cross join lateral (select distinct step from unnest(r.reused) s(step)) u
      where v1.run_id(p.id) = p.id
  ), copied as (
    insert into v1.task (id, queued_at, started_at, finished_at, state, attempt, step, pending, children, worker, error)
      select u.id, t.queued_at, t.started_at, t.finished_at, t.state, t.attempt, t.step, 0, t.children, t.worker, t.error
        from reused u join v1.task t on t.id = u.original
  )
  insert into v1.task_output (task_id, output)
    select u.id, o.output from reused u join v1.task_output o on o.task_id = u.original;
end $$;
