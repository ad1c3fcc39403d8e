-- What has gone wrong in a run: [{step, error}] of every failed task, and with a null step of the run
-- itself.
--
-- Called by  hand_out, for the step that sees to a failed run.
create or replace function v1.read_failures(p_run_id uuid)
returns json language sql stable as $$
  select json_agg(json_build_object('step', f.name, 'error', f.error) order by f.step)
    from (select null as name, -1 as step, r.error from v1.workflow_run r
            where r.id = p_run_id and r.error is not null
          union all
          select d.name, d.step, t.error
            from v1.workflow_run r
            join v1.dag d on d.version_id = r.version_id
            join v1.task t on t.id = v1.task_id(r.id, d.step) and t.state = 'failed'
            where r.id = p_run_id) f
$$;
