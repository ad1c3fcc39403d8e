-- Ends attempts, and tasks that are skipped: keeps outputs, readies the children that waited only for them,
-- cancels what can never run, and ends the runs with nothing left, or lets those that have failed unwind. An attempt
-- that another follows goes to history, and its task is ready again: at once, or when a timer says so.
--
-- Called by  commit, once a batch, which holds the locks of the runs; one result a task.
-- Ignores    a result whose attempt is not the task's next, or whose task has finished; the reply
--            classifies those (classify_results). A result of an attempt that never began (no b) is of a task
--            that nobody executes: one that has expired, or can't be executed.
-- Returns    reply {results: {task: class}, finished: [{run, state}]}; ready: ids of ready tasks;
--            ended: runs that have ended, now or since an earlier sending, of which there is more to
--            say (read_finished); timed: tasks that have been given a timer, now or then.
drop function if exists v1.complete_tasks(uuid, timestamptz, jsonb);
create function v1.complete_tasks(
  p_tenant_id uuid, p_at timestamptz, p_results jsonb,
  out reply jsonb, out ready uuid[], out ended uuid[], out timed uuid[])
language plpgsql as $$
declare
  v_ids uuid[];
  v_runs uuid[];
  v_versions uuid[];
  v_steps smallint[];
  v_states v1.task_state[];
  v_began timestamptz[];
  v_parents boolean;
  v_finished jsonb;
  v_failed uuid[];
  v_limited uuid[];
  v_matched uuid[];
  v_unwound record;
begin
  with reported as (
    select x.*, x.s in ('completed', 'skipped') or x.d is null and (x.s not in ('lost', 'put_back') or x.x) as is_over,
           case when x.s in ('completed', 'skipped') then x.s::v1.task_state
                when x.s in ('lost', 'put_back') and x.x is not true and x.d is null then 'queued'
                when x.d is null then 'failed'
                when v1.moment(x.d) > p_at then 'backoff' else 'queued' end as next
      from jsonb_to_recordset(p_results) as x(t uuid, r uuid, a integer, s text, o jsonb, e jsonb,
             w text, b double precision, f double precision, d double precision, x boolean)
  ), ended as (
    update v1.task t
      set state = x.next,
          attempt = case when x.s = 'skipped' then t.attempt else x.a end,
          queued_at = case when x.is_over or x.next = 'backoff' then t.queued_at else p_at end,
          worker = case when x.is_over then x.w end,
          started_at = case when x.is_over then v1.moment(x.b) end,
          finished_at = case when x.is_over then coalesce(v1.moment(x.f), p_at) end,
          error = case when x.is_over then x.e end,
          failures = t.failures + (x.s in ('failed', 'timed_out') and x.b is not null)::integer,
          rescues = t.rescues + (x.s = 'lost' and x.e->>'code' is not distinct from 'worker_lost')::integer
      from reported x
      join v1.workflow_run r on r.id = x.r and r.tenant_id is not distinct from p_tenant_id
      where t.id = x.t and v1.run_id(x.t) = x.r and t.attempt = x.a - 1
        and (t.state = 'queued' or t.state = 'running' and x.b is not null)
      returning t.id, t.step, t.children, t.state, r.id as run_id, r.version_id, x.s, x.o, x.e, x.w, x.a, x.b, x.f
  ), output as (
    insert into v1.task_output (task_id, output)
      select id, coalesce(o, 'null') from ended where state = 'completed'
  ), history as (
    insert into v1.task_attempt (task_id, attempt, outcome, worker, started_at, finished_at, error)
      select id, a, s::v1.attempt_outcome, w, v1.moment(b), coalesce(v1.moment(f), p_at), e
        from ended where state in ('queued', 'backoff')
  )
  select array_agg(id), array_agg(run_id), array_agg(version_id), array_agg(step), array_agg(state),
         array_agg(v1.moment(b)), array_agg(id) filter (where state = 'queued'),
         array_agg(id) filter (where state = 'backoff'), bool_or(children > 0)
    into v_ids, v_runs, v_versions, v_steps, v_states, v_began, ready, timed, v_parents from ended;

  if timed is not null then
    insert into v1.timer (tenant_id, shard, id, kind, due_at)
      select p_tenant_id, r.shard, x.t, 'retry', v1.moment(x.d)
        from jsonb_to_recordset(p_results) as x(t uuid, r uuid, d double precision)
        join v1.workflow_run r on r.id = x.r
        where x.t = any (timed)
      on conflict (id, kind, shard) do update set due_at = excluded.due_at;
  end if;
  if v_parents then
    with advanced as (
      update v1.task t
        set pending = t.pending - c.completed,
            state = case when t.pending = c.completed then 'queued'::v1.task_state else t.state end,
            queued_at = case when t.pending = c.completed then p_at end
        from (select v1.task_id(e.run_id, child) as id, count(*)::smallint as completed
                from unnest(v_runs, v_versions, v_steps, v_states) e(run_id, version_id, step, state)
                join v1.dag d on d.version_id = e.version_id and d.step = e.step
                cross join unnest(d.children) child
                where e.state in ('completed', 'skipped') group by 1) c
        where t.id = c.id and t.state = 'waiting'
        returning t.id, t.pending
    )
    select ready || array_agg(id) into ready from advanced where pending = 0;
  end if;
  if 'failed' = any (v_states) then
    perform v1.cancel_descendants(p_at, array(
      select id from unnest(v_ids, v_states) e(id, state) where state = 'failed'));
  end if;

  with run as (
    update v1.workflow_run r
      set remaining = r.remaining - e.ended,
          failed = r.failed + e.failed,
          state = case when r.remaining = e.ended and r.failed + e.failed = 0 then 'completed'::v1.run_state
                       else 'running' end,
          started_at = coalesce(r.started_at, e.began),
          finished_at = case when r.remaining = e.ended and r.failed + e.failed = 0 then p_at end
      from (select run_id, count(*) filter (where state in ('completed', 'failed', 'skipped')) as ended,
                   count(*) filter (where state = 'failed') as failed, min(began) as began
              from unnest(v_runs, v_states, v_began) e(run_id, state, began) group by run_id) e
      where r.id = e.run_id
      returning r.id, r.state, r.remaining, r.parent_id, r.timeout_ms, r.has_matches
  )
  select coalesce(jsonb_agg(jsonb_build_object('run', id, 'state', state))
                    filter (where state = 'completed' and parent_id is null), '[]'),
         array_agg(id) filter (where state = 'completed' and parent_id is not null),
         array_agg(id) filter (where state = 'running'),
         array_agg(id) filter (where timeout_ms is not null),
         array_agg(id) filter (where state = 'completed' and has_matches)
    into v_finished, ended, v_failed, v_limited, v_matched from run where remaining = 0;
  -- Only steps count for a run's timeout, not what follows when they have failed.
  if v_limited is not null then
    delete from v1.timer where id = any (v_limited) and kind = 'timeout';
  end if;
  if v_matched is not null then
    delete from v1.match where run_id = any (v_matched);
  end if;
  if v_failed is not null then
    v_unwound := v1.unwind_runs(p_at, v_failed);
    ready := ready || v_unwound.ready;
    ended := ended || v_unwound.ended;
  end if;

  reply := jsonb_build_object('finished', v_finished);
  if coalesce(cardinality(v_ids), 0) < jsonb_array_length(p_results) then
    reply := reply || jsonb_build_object('results', v1.classify_results(p_tenant_id, (
      select jsonb_agg(jsonb_build_object('t', x.t, 'a', x.a))
        from jsonb_to_recordset(p_results) as x(t uuid, a integer)
        where x.t <> all (coalesce(v_ids, '{}')))));
    -- An earlier sending may have done it, and its answer been lost.
    select ended || array_agg(x.r) filter (where x.r <> all (coalesce(v_runs, '{}'))),
           timed || array_agg(x.t) filter (where x.d is not null)
      into ended, timed
      from jsonb_to_recordset(p_results) as x(t uuid, r uuid, d double precision)
      where x.t <> all (coalesce(v_ids, '{}'));
  end if;
end $$;
