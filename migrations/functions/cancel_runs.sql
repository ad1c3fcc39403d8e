-- Cancels what has not finished of runs. Cancelled by a caller or by its parent, a run is over at once.
-- One that took too long (error code run_timeout) has failed, and unwinds; that needs its timer, which
-- is there only while the run's steps are not over.
--
-- Called by  commit, under the locks of the runs. Of the runs' children, which are other runs, those
--            that are not detached are given a timer that cancels them.
-- Ignores    a run that has finished, but for its timers and what it waited for.
-- Returns    reply {cancelled: runs of which no task is left from before, now or since an earlier
--            sending}; ready: ids of ready tasks; ended: runs that have ended, now or then; timed:
--            children that may have been given a timer, now or then.
create or replace function v1.cancel_runs(
  p_tenant_id uuid, p_at timestamptz, p_cancels jsonb,
  out reply jsonb, out ready uuid[], out ended uuid[], out timed uuid[])
language plpgsql as $$
declare
  v_runs uuid[];
  v_errors jsonb[];
  v_timed_out uuid[];
  v_leases jsonb;
begin
  -- Looked up by task below: joined, they would be read anew for each task of each run.
  select coalesce(jsonb_object_agg(l->>'t', l), '{}') into v_leases
    from jsonb_array_elements(p_cancels) c cross join jsonb_array_elements(c->'l') l;

  -- A run that is cancelled just as it runs out of time is cancelled.
  with asked as (
    select distinct on (x.r) x.r as id, x.e as error, x.e->>'code' = 'run_timeout' as is_timeout
      from jsonb_to_recordset(p_cancels) as x(r uuid, e jsonb) where v1.run_id(x.r) = x.r
      order by x.r, x.e->>'code' = 'run_timeout'
  ), due as (
    delete from v1.timer
      where id = any (array(select id from asked where is_timeout)) and kind = 'timeout'
        and tenant_id is not distinct from p_tenant_id
      returning id
  )
  select array_agg(r.id), array_agg(a.error), array_agg(r.id) filter (where a.is_timeout)
    into v_runs, v_errors, v_timed_out
    from asked a
    join v1.workflow_run r on r.id = a.id and r.tenant_id is not distinct from p_tenant_id
                              and r.state in ('queued', 'running')
    where not a.is_timeout or r.id in (select id from due);

  with open as (
    select t.id, t.state, x.error, l.a, l.w, l.b
      from unnest(v_runs, v_errors) x(id, error)
      join v1.workflow_run r on r.id = x.id
      join v1.dag d on d.version_id = r.version_id
      join v1.task t on t.id = v1.task_id(r.id, d.step) and t.state in ('waiting', 'queued', 'running', 'backoff')
      left join lateral (
        select (x.l->>'a')::integer as a, x.l->>'w' as w, (x.l->>'b')::double precision as b
          from (select v_leases->t.id::text as l) x
      ) l on l.a = t.attempt + 1
      where v1.run_id(x.id) = x.id
  ), cancelled as (
    update v1.task t
      set state = 'cancelled', finished_at = p_at,
          error = case when o.state <> 'waiting' then o.error end,
          attempt = coalesce(o.a, t.attempt), worker = o.w, started_at = v1.moment(o.b)
      from open o where t.id = o.id
  ), woken as (
    delete from v1.timer where id = any (array(select id from open where state in ('waiting', 'backoff')))
  )
  delete from v1.queue_item where task_id = any (array(select id from open where state in ('queued', 'running')));
  update v1.workflow_run r
    set remaining = 0, error = x.error, failed = r.failed + ((r.id = any (v_timed_out)) is true)::integer,
        state = case when r.id = any (v_timed_out) then 'running'::v1.run_state else 'cancelled' end,
        finished_at = case when r.id = any (v_timed_out) then null else p_at end
    from unnest(v_runs, v_errors) x(id, error) where r.id = x.id and v1.run_id(x.id) = x.id;

  timed := array(
    select c.run_id
      from jsonb_to_recordset(p_cancels) as x(r uuid)
      join v1.workflow_run r on r.id = x.r and r.tenant_id is not distinct from p_tenant_id
      join v1.dag d on d.version_id = r.version_id
      join v1.child_run c on c.parent_id = v1.task_id(r.id, d.step) and not c.is_detached
      where v1.run_id(x.r) = x.r);
  insert into v1.timer (tenant_id, shard, id, kind, due_at)
    select p_tenant_id, child.shard, child.id, 'cancel', p_at
      from unnest(timed) u(id)
      join v1.workflow_run child on child.id = u.id and child.state in ('queued', 'running')
      where v1.run_id(u.id) = u.id and v1.run_id(child.parent_id) = any (v_runs)
    on conflict (id, kind, shard) do nothing;

  if v_timed_out is not null then
    delete from v1.match where run_id = any (v_timed_out) and kind = 'wait';
    select u.ready into ready from v1.unwind_runs(p_at, v_timed_out) u;
  end if;
  with finished as (
    select r.id, r.state in ('completed', 'failed', 'cancelled') as is_finished,
           x.e->>'code' = 'run_timeout' and r.error is not null as is_timed_out
      from jsonb_to_recordset(p_cancels) as x(r uuid, e jsonb)
      join v1.workflow_run r on r.id = x.r and r.tenant_id is not distinct from p_tenant_id
      where v1.run_id(x.r) = x.r
  ), over as (
    delete from v1.timer where id = any (array(select id from finished where is_finished))
  ), unmatched as (
    delete from v1.match where run_id = any (array(select id from finished where is_finished))
  )
  select jsonb_build_object('cancelled', coalesce(jsonb_agg(id) filter (where is_finished or is_timed_out), '[]')),
         array_agg(id) filter (where is_finished)
    into reply, ended from finished;
end $$;
