-- Starts the children that attempts ask for, each once by its parent and key, however often the parent
-- is tried again. A child is bound to its workflow's active version, or to the one that is promoted.
--
-- Called by  commit, under the locks of the parents' runs and of the definitions (shared).
-- Refuses    a new child of an attempt that is not its task's current one (`stale`), of a workflow that
--            is not there (`workflow_not_found`) or takes no runs (`workflow_paused`), alone.
-- Returns    reply {spawned: [{t, k, run, finished} or {t, k, refused}]} of every child asked for;
--            ready: ids of ready tasks; timed: runs that may have been given a timer, now or by an
--            earlier sending.
create or replace function v1.spawn_runs(
  p_tenant_id uuid, p_shard smallint, p_at timestamptz, p_definitions bigint, p_spawns jsonb,
  out reply jsonb, out ready uuid[], out timed uuid[])
language plpgsql as $$
declare
  v_starts jsonb;
  v_current uuid[];
  v_finished jsonb;
begin
  select array_agg(t.id) into v_current
    from jsonb_to_recordset(p_spawns) as x(t uuid, r uuid, a integer)
    join v1.workflow_run r on r.id = x.r and r.tenant_id is not distinct from p_tenant_id
    join v1.task t on t.id = x.t and v1.run_id(x.t) = x.r and t.attempt = x.a - 1
                      and t.state in ('queued', 'running');

  with child as (
    select distinct on (x.t, c.k) x.t, c.*
      from jsonb_to_recordset(p_spawns) as x(t uuid, c jsonb)
      cross join jsonb_to_recordset(x.c) as c(k text, id uuid, w text, i jsonb, m jsonb, x boolean)
      where x.t = any (v_current)
        and not exists (select from v1.child_run known where known.parent_id = x.t and known.key = c.k)
      order by x.t, c.k, c.id
  )
  select jsonb_agg(jsonb_build_object(
           'id', c.id, 'w', w.id, 'v', v.id, 'd', p_definitions, 'n', s.steps, 'i', c.i, 'm', c.m,
           'u', v.timeout_ms, 'h', w.pause_mode is not null, 'c', v.cancel_on is not null,
           'p', jsonb_build_array(c.t, c.k), 'x', coalesce(c.x, false)))
    into v_starts
    from child c
    join v1.workflow w on w.tenant_id = p_tenant_id and w.name = c.w and w.pause_mode is distinct from 'drop'
    left join v1.promotion p on p.workflow_id = w.id
    join v1.workflow_version v on v.id = v1.version_of_run(
      w.active_version_id, p, jsonb_build_object('input', c.i, 'metadata', c.m), c.id::text)
    cross join lateral (select count(*) as steps from v1.dag d where d.version_id = v.id and d.kind = 'step') s;
  if v_starts is not null then
    select s.ready into ready
      from v1.start_runs(p_tenant_id, p_shard, p_at, p_definitions, v_starts, null, true) s;
    -- An id that another run has started nothing.
    insert into v1.child_run (parent_id, key, run_id, is_detached)
      select r.parent_id, r.parent_key, r.id, x.x
        from jsonb_to_recordset(v_starts) as x(id uuid, p jsonb, x boolean)
        join v1.workflow_run r on r.id = x.id and x.p = jsonb_build_array(r.parent_id, r.parent_key)
        where v1.run_id(x.id) = x.id;
  end if;

  timed := array(
    select known.run_id
      from jsonb_to_recordset(p_spawns) as x(t uuid, r uuid, c jsonb)
      join v1.workflow_run r on r.id = x.r and r.id = v1.run_id(x.t) and r.tenant_id is not distinct from p_tenant_id
      cross join jsonb_to_recordset(x.c) as c(k text)
      join v1.child_run known on known.parent_id = x.t and known.key = c.k);
  select coalesce(jsonb_object_agg(f->>'run', f), '{}') into v_finished
    from jsonb_array_elements(v1.read_finished(p_tenant_id, timed)) f;
  select jsonb_build_object('spawned', jsonb_agg(jsonb_build_object('t', x.t, 'k', c.k) || case
           when v_finished ? known.run_id::text
             then jsonb_build_object('run', known.run_id, 'finished', v_finished->known.run_id::text)
           when known.run_id is not null then jsonb_build_object('run', known.run_id)
           when (x.t = any (v_current)) is not true then '{"refused": "stale"}'
           when w.active_version_id is null then '{"refused": "workflow_not_found"}'
           when w.pause_mode = 'drop' then '{"refused": "workflow_paused"}'
           else '{"refused": "stale"}' end))
    into reply
    from jsonb_to_recordset(p_spawns) as x(t uuid, r uuid, c jsonb)
    left join v1.workflow_run r on r.id = x.r and r.id = v1.run_id(x.t) and r.tenant_id is not distinct from p_tenant_id
    cross join jsonb_to_recordset(x.c) as c(k text, w text)
    left join v1.child_run known on known.parent_id = x.t and known.key = c.k and r.id is not null
    left join v1.workflow w on w.tenant_id = p_tenant_id and w.name = c.w;
end $$;
