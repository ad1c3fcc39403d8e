-- Lets ready tasks wait for what their steps say: an event finds them by a row of `match` for each condition,
-- a timer has the next moment that they wait for, and another one, due at once, has events looked at that
-- are stored meanwhile, and those from before where a condition asks for that.
--
-- Called by  commit, under the locks of the runs.
-- p_waits    [{t: task, r: run}]
-- Ignores    a task that is not queued, or has waited.
-- Returns    tasks that may have been given a timer, now or by an earlier sending.
create or replace function v1.begin_waits(p_tenant_id uuid, p_shard smallint, p_at timestamptz, p_waits jsonb)
returns uuid[] language plpgsql as $$
declare
  v_begun uuid[];
begin
  with begun as (
    insert into v1.task_wait (task_id, began_at, times_out_at)
      select t.id, p_at, p_at + (d.gate->'wait'->>'timeoutMs')::double precision * interval '1 millisecond'
        from jsonb_to_recordset(p_waits) as x(t uuid, r uuid)
        join v1.workflow_run r on r.id = x.r and r.tenant_id is not distinct from p_tenant_id
        join v1.task t on t.id = x.t and t.state = 'queued'
        join v1.dag d on d.version_id = r.version_id and d.step = t.step and d.gate ? 'wait'
        where v1.run_id(x.t) = x.r
      on conflict (task_id) do nothing
      returning task_id
  )
  select array_agg(task_id) into v_begun from begun;
  if v_begun is not null then
    update v1.task t set state = 'waiting', queued_at = null
      from unnest(v_begun) u(id) where t.id = u.id;
    update v1.workflow_run r set has_matches = true
      from (select distinct v1.run_id(u.id) as id from unnest(v_begun) u(id)) u
      where r.id = u.id and not r.has_matches;
    insert into v1.match (tenant_id, shard, event_key, equality, run_id, number, kind, condition, since)
      select p_tenant_id, p_shard, c.event, h.equality, r.id, (t.step + 1) * 16 + c.n, 'wait', c."if",
             v1.first_id_at(p_at - c."withinMs" * interval '1 millisecond')
        from unnest(v_begun) u(id)
        join v1.workflow_run r on r.id = v1.run_id(u.id)
        join v1.task t on t.id = u.id
        join v1.dag d on d.version_id = r.version_id and d.step = t.step
        cross join jsonb_to_recordset(d.gate->'wait'->'conditions') as c(
          n smallint, event text, "if" text, "eventPath" text[], "runPath" text[], "withinMs" double precision)
        cross join v1.equality_hash(c."eventPath", jsonb_build_object(
          'input', r.input, 'metadata', r.metadata,
          'parents', case when c."runPath"[1] = 'parents' then v1.parent_outputs(r.id, r.version_id, t.step) end
        ) #> c."runPath") h(equality)
        where c.event is not null and h.equality is not null;
    insert into v1.timer (tenant_id, shard, id, kind, due_at)
      select p_tenant_id, p_shard, w.task_id, k.kind, k.due_at
        from unnest(v_begun) u(id)
        join v1.task_wait w on w.task_id = u.id
        join v1.workflow_run r on r.id = v1.run_id(u.id)
        join v1.task t on t.id = u.id
        join v1.dag d on d.version_id = r.version_id and d.step = t.step
        cross join lateral (
          select 'wait'::v1.timer_kind as kind, v1.next_of_wait(d.gate->'wait', w.began_at, w.times_out_at, 0) as due_at
          union all
          select 'look', p_at where d.gate->'wait'->'conditions' @? '$[*].event'
        ) k
        where k.due_at is not null
      on conflict (id, kind, shard) do update set due_at = excluded.due_at;
  end if;
  return array(select x.t from jsonb_to_recordset(p_waits) as x(t uuid));
end $$;
