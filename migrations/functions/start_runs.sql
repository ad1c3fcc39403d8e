-- Starts runs: one row a run, one row a task; tasks without parents are ready at once.
--
-- Called by  commit. Starts of one batch don't depend on each other: a refused one is refused alone.
-- Returns    reply {starts: {run: reason}} of those not started: `stale` (the definitions have
--            changed: resolve the workflow again), or the id of the run that had the key first;
--            handed: the ready tasks that the shard keeps. Those it lists to spill go to the queue.
create or replace function v1.start_runs(
  p_tenant_id uuid, p_shard smallint, p_at timestamptz, p_definitions bigint, p_starts jsonb,
  p_refused_events jsonb, out reply jsonb, out handed uuid[])
language plpgsql
as $$
declare
  v_refused jsonb := '{}';
  v_started uuid[];
begin
  if exists (select from jsonb_to_recordset(p_starts) as x(d bigint, e uuid, k text)
               where x.d <> p_definitions or x.e is not null or x.k is not null) then
    v_refused := v1.claim_keys(p_tenant_id, 'run', p_at, (
      select jsonb_agg(jsonb_build_object('id', x.id, 'k', x.k))
        from jsonb_to_recordset(p_starts) as x(id uuid, k text, d bigint)
        where x.k is not null and x.d = p_definitions));
    select v_refused || coalesce(jsonb_object_agg(x.id, 'stale'), '{}') into v_refused
      from jsonb_to_recordset(p_starts) as x(id uuid, d bigint, e uuid)
      where (x.d <> p_definitions or p_refused_events ? x.e::text)
        -- Started by this very request, before its answer was lost.
        and not exists (select from v1.workflow_run r where r.id = x.id and r.tenant_id = p_tenant_id);
  end if;

  with started as (
    insert into v1.workflow_run
        (id, tenant_id, workflow_id, version_id, event_id, state, shard, remaining, input, metadata)
      select x.id, p_tenant_id, x.w, x.v, x.e, 'queued', p_shard, x.n, coalesce(x.i, 'null'), coalesce(x.m, '{}')
        from jsonb_to_recordset(p_starts) as x(id uuid, w uuid, v uuid, e uuid, n smallint, i jsonb, m jsonb)
        where not v_refused ? x.id::text
        on conflict (id) do nothing
      returning id
  )
  select coalesce(array_agg(id), '{}') into v_started from started;

  -- A repeated start inserts no run above, and so readies no task here.
  with planned as (
    select v1.task_id(x.id, d.step) as id, d.step, d.action, cardinality(d.parents) as pending, cardinality(d.children) as children,
           coalesce(x.s @> to_jsonb(d.step), false) as is_spilled
      from jsonb_to_recordset(p_starts) as x(id uuid, v uuid, s jsonb)
      join v1.dag d on d.version_id = x.v
      where x.id = any (v_started)
  ), inserted as (
    insert into v1.task (id, state, step, pending, children, queued_at)
      select id, case when pending = 0 then 'queued'::v1.task_state else 'waiting' end,
             step, pending, children, case when pending = 0 then p_at end
        from planned
  ), spilled as (
    insert into v1.queue_item (tenant_id, shard, action, task_id)
      select p_tenant_id, p_shard, action, id from planned where pending = 0 and is_spilled
  )
  select coalesce(array_agg(id), '{}') into handed from planned where pending = 0 and not is_spilled;
  reply := jsonb_build_object('starts', v_refused);
end $$;
