-- Ends attempts: keeps outputs, readies the children that waited only for them, cancels what can
-- never run, and ends the runs with nothing left. A lost attempt makes its task ready again.
--
-- Called by  commit, once a batch; one result a task.
-- Locks      runs, by id. A task is only ever changed under the lock of its run.
-- Ignores    a result whose attempt is not the task's next, or whose task has finished; the reply
--            classifies those (classify_results).
-- Returns    reply {results: {task: class}, finished: [{run, state}]}; ready: ids of ready tasks.
create or replace function v1.complete_tasks(
  p_tenant_id uuid, p_at timestamptz, p_results jsonb, out reply jsonb, out ready uuid[])
language plpgsql as $$
declare
  v_ids uuid[];
  v_runs uuid[];
  v_versions uuid[];
  v_steps smallint[];
  v_outcomes v1.attempt_outcome[];
  v_began timestamptz[];
  v_parents boolean;
  v_finished jsonb;
begin
  perform v1.lock_runs(p_tenant_id, array(select x.r from jsonb_to_recordset(p_results) as x(r uuid)));

  with ended as (
    update v1.task t
      set state = case x.s when 'completed' then 'completed'::v1.task_state
                           when 'lost' then 'queued' else 'failed' end,
          attempt = x.a,
          worker = case when x.s = 'lost' then null else x.w end,
          started_at = case when x.s = 'lost' then null else v1.moment(x.b) end,
          finished_at = case when x.s = 'lost' then null else coalesce(v1.moment(x.f), p_at) end,
          error = case when x.s = 'lost' then null else x.e end
      from jsonb_to_recordset(p_results) as x(t uuid, r uuid, a integer, s v1.attempt_outcome,
             o jsonb, e jsonb, w text, b double precision, f double precision)
      join v1.workflow_run r on r.id = x.r and r.tenant_id = p_tenant_id
      where t.id = x.t and v1.run_id(x.t) = x.r
        and t.state in ('queued', 'running') and t.attempt = x.a - 1
      returning t.id, t.step, t.children, r.id as run_id, r.version_id, x.s, x.o, x.e, x.w, x.a, x.b
  ), output as (
    insert into v1.task_output (task_id, output)
      select id, coalesce(o, 'null') from ended where s = 'completed'
  ), lost as (
    insert into v1.task_attempt (task_id, attempt, outcome, worker, started_at, finished_at, error)
      select id, a, s, w, v1.moment(b), p_at, e from ended where s = 'lost'
  )
  select array_agg(id), array_agg(run_id), array_agg(version_id), array_agg(step), array_agg(s),
         array_agg(v1.moment(b)), array_agg(id) filter (where s = 'lost'), bool_or(children > 0)
    into v_ids, v_runs, v_versions, v_steps, v_outcomes, v_began, ready, v_parents from ended;

  if v_parents then
    with advanced as (
      update v1.task t
        set pending = t.pending - c.completed,
            state = case when t.pending = c.completed then 'queued'::v1.task_state else t.state end,
            queued_at = case when t.pending = c.completed then p_at end
        from (select v1.task_id(e.run_id, child) as id, count(*)::smallint as completed
                from unnest(v_runs, v_versions, v_steps, v_outcomes) e(run_id, version_id, step, outcome)
                join v1.dag d on d.version_id = e.version_id and d.step = e.step
                cross join unnest(d.children) child
                where e.outcome = 'completed' group by 1) c
        where t.id = c.id and t.state = 'waiting'
        returning t.id, t.pending
    )
    select ready || array_agg(id) into ready from advanced where pending = 0;
  end if;

  with run as (
    update v1.workflow_run r
      set remaining = r.remaining - e.ended,
          failed = r.failed + e.failed,
          state = case when r.remaining > e.ended then 'running'::v1.run_state
                       when r.failed + e.failed > 0 then 'failed' else 'completed' end,
          started_at = coalesce(r.started_at, e.began),
          finished_at = case when r.remaining = e.ended then p_at end
      from (select run_id, count(*) filter (where outcome <> 'lost') as ended,
                   count(*) filter (where outcome in ('failed', 'timed_out')) as failed, min(began) as began
              from unnest(v_runs, v_outcomes, v_began) e(run_id, outcome, began) group by run_id) e
      where r.id = e.run_id
      returning r.id, r.state, r.remaining
  )
  select coalesce(jsonb_agg(jsonb_build_object('run', id, 'state', state)), '[]') into v_finished
    from run where remaining = 0;
  if 'failed' = any (v_outcomes) or 'timed_out' = any (v_outcomes) then
    v_finished := v_finished || v1.cancel_descendants(p_at, array(
      select id from unnest(v_ids, v_outcomes) e(id, outcome) where outcome in ('failed', 'timed_out')));
  end if;

  ready := coalesce(ready, '{}');
  reply := jsonb_build_object('finished', v_finished);
  if coalesce(cardinality(v_ids), 0) < jsonb_array_length(p_results) then
    reply := reply || jsonb_build_object('results', v1.classify_results((
      select jsonb_agg(jsonb_build_object('t', x.t, 'a', x.a))
        from jsonb_to_recordset(p_results) as x(t uuid, a integer)
        where x.t <> all (coalesce(v_ids, '{}')))));
  end if;
end $$;
