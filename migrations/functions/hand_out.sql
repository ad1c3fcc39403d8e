-- Decides which ready tasks the shard gets with the reply and spills the others to the queue, and
-- reads what a worker needs to execute them: the run's input and the parents' outputs.
--
-- Called by  commit, take_ready and take_expired, in a statement after the one that made the tasks
--            ready, so that it sees the parents' outputs.
-- A spilled task goes to lane 0, unless the queue has it already: the shard sorts it when it takes it. One
-- whose conditions have not been judged is in no action's room and no action's queue, but in that of ''.
--
-- p_room     {default, actions: {action: n}, bytes}; null: hand out everything. The task that goes
--            beyond the bytes is the last: one that is larger than all the room must start some day.
-- Returns    ready: [{id, run, version, step, attempt, queuedAt, input, metadata, parents}] as json,
--            whose text costs a third of jsonb's tree; of a task that failed or was lost before, has a
--            priority or a worker to stick to, has waited, is a child's, was started by a filter or a schedule or sees to a failed run,
--            there is more; handed: their ids; spilled: actions.
create or replace function v1.hand_out(
  p_tenant_id uuid, p_shard smallint, p_tasks uuid[], p_room jsonb,
  out ready json, out handed uuid[], out spilled text[])
language plpgsql as $$
begin
  with candidate as (
    select t.id, r.id as run_id, r.version_id, t.step, t.attempt, t.failures, t.rescues,
           floor(extract(epoch from t.queued_at) * 1000)::bigint as queued_at, d.kind, d.parents,
           case when d.gate is not null and t.attempt = 0 then '' else d.action end as action,
           r.input, r.metadata, r.priority, r.filter_id, r.filter_payload, r.schedule_id, r.tick, r.parent_id, r.parent_key, d.dispatch->>'sticky' as sticky,
           row_number() over (partition by case when d.gate is not null and t.attempt = 0 then '' else d.action end
                              order by t.id) as position,
           d.gate ? 'wait' as may_have_waited
      from unnest(p_tasks) u(id)
      join v1.task t on t.id = u.id and t.state in ('queued', 'running')
      join v1.workflow_run r on r.id = v1.run_id(u.id) and r.tenant_id is not distinct from p_tenant_id
      join v1.dag d on d.version_id = r.version_id and d.step = t.step
  ), sized as (
    select c.*, coalesce(o.outputs, '{}') as outputs, w.waited,
           pg_column_size(c.input) + coalesce(o.bytes, 0) + coalesce(w.bytes, 0) as bytes
      from candidate c
      left join lateral (
        select json_object_agg(parent.name, out.output) as outputs,
               sum(pg_column_size(out.output))::integer as bytes
          from unnest(c.parents) p(step)
          join v1.dag parent on parent.version_id = c.version_id and parent.step = p.step
          join v1.task_output out on out.task_id = v1.task_id(c.run_id, p.step)
      ) o on true
      left join lateral (
        select json_build_object('isMet', w.is_met, 'met', w.found) as waited, pg_column_size(w.found) as bytes
          from v1.task_wait w where c.may_have_waited and w.task_id = c.id and w.ended_at is not null
      ) w on true
      where p_room is null
         or c.position <= coalesce((p_room->'actions'->>c.action)::integer, (p_room->>'default')::integer)
  ), fitting as (
    select s.*, sum(s.bytes) over (order by s.id rows unbounded preceding) - s.bytes as bytes_before
      from sized s
  )
  select coalesce(json_agg(
           case when kind = 'on_failure' or failures + rescues > 0 or priority is not null or sticky is not null
                  or parent_id is not null or filter_id is not null
                  or schedule_id is not null or waited is not null
                then json_build_object(
                  'id', id, 'run', run_id, 'version', version_id, 'step', step, 'attempt', attempt + 1,
                  'queuedAt', queued_at, 'input', input, 'metadata', metadata, 'parents', outputs,
                  'failures', failures, 'rescues', rescues, 'priority', priority,
                  'ancestors', case when parent_id is not null then v1.ancestors(parent_id, parent_key) end,
                  'worker', case when sticky is not null then v1.last_worker(run_id, version_id) end,
                  'failed', case when kind = 'on_failure' then v1.read_failures(run_id) end, 'waited', waited,
                  'filter', case when filter_id is not null
                                 then json_build_object('id', filter_id, 'payload', filter_payload) end,
                  'schedule', case when schedule_id is not null
                                   then json_build_object('id', schedule_id, 'tick', v1.milliseconds(tick)) end)
                else json_build_object(
                  'id', id, 'run', run_id, 'version', version_id, 'step', step, 'attempt', attempt + 1,
                  'queuedAt', queued_at, 'input', input, 'metadata', metadata, 'parents', outputs) end), '[]'),
         coalesce(array_agg(id), '{}')
    into ready, handed
    from fitting where p_room is null or bytes_before < (p_room->>'bytes')::bigint;

  if cardinality(handed) < cardinality(p_tasks) and p_room is not null then
    with queued as (
      insert into v1.queue_item (tenant_id, shard, action, task_id, expires_at)
        select p_tenant_id, p_shard, case when d.gate is not null and t.attempt = 0 then '' else d.action end, t.id,
               t.queued_at + d.schedule_timeout_ms * interval '1 millisecond'
          from unnest(p_tasks) u(id)
          join v1.task t on t.id = u.id and t.state in ('queued', 'running')
          join v1.workflow_run r on r.id = v1.run_id(u.id) and r.tenant_id is not distinct from p_tenant_id
          join v1.dag d on d.version_id = r.version_id and d.step = t.step
          where u.id <> all (handed)
          on conflict (task_id) do nothing
        returning action
    )
    select array_agg(distinct action) into spilled from queued;
  end if;
end $$;
