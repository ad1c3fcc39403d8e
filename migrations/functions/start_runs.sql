-- Starts runs: one row a run, one row a task; tasks without parents are ready at once, unless the run
-- is held or delayed: then a timer has to release it. A replay begins with the outputs that it reuses. What may
-- cancel a run is written down with it. A run may be another shard's (sh): then its ready tasks go to the queue of
-- that shard, which is to be nudged.
--
-- Called by  commit, and spawn_runs for children (p_are_children), whose starts carry p: [parent, its
--            key]. Starts of one batch don't depend on each other: a refused one is refused alone.
-- Returns    reply {starts: {run: reason}} of those not started: `stale` (the definitions have
--            changed: resolve the workflow again), or the id of the run that had the key first;
--            known: [run] of those that an earlier sending had started, whose tasks are elsewhere by now;
--            handed: the ready tasks that the shard keeps. Those it lists to spill go to the queue
--            (has_spilled); in reply also touched: [other shards that have runs here]; ready: those under conditions, and those of replays and children, of which the
--            shard doesn't know what they are given; timed: runs that may have been given a timer, now or by an earlier sending.
drop function if exists v1.start_runs(uuid, smallint, timestamptz, bigint, jsonb, jsonb);
create or replace function v1.start_runs(
  p_tenant_id uuid, p_shard smallint, p_at timestamptz, p_definitions bigint, p_starts jsonb,
  p_refused_events jsonb, p_are_children boolean,
  out reply jsonb, out handed uuid[], out ready uuid[], out timed uuid[], out has_spilled boolean)
language plpgsql
as $$
declare
  v_has_matches boolean;
  v_refused jsonb := '{}';
  v_started uuid[];
  v_replays uuid[];
  v_are_limited boolean;
  v_are_held boolean;
begin
  if exists (select from jsonb_to_recordset(p_starts) as x(d bigint, e uuid, k text, ro uuid)
               where x.d <> p_definitions or x.e is not null or x.k is not null or x.ro is not null) then
    select coalesce(jsonb_object_agg(x.id, 'stale'), '{}') into v_refused
      from jsonb_to_recordset(p_starts) as x(id uuid, v uuid, d bigint, e uuid, n smallint, ro uuid, ru smallint[])
      where (x.d <> p_definitions or p_refused_events ? x.e::text
             or x.ro is not null and (x.n < 1 or not v1.is_replayable(p_tenant_id, x.ro, x.v, x.ru)))
        -- Started by this very request, before its answer was lost.
        and not exists (select from v1.workflow_run r where r.id = x.id and r.tenant_id is not distinct from p_tenant_id);
    v_refused := v_refused || v1.claim_keys(p_tenant_id, 'run', p_at, (
      select jsonb_agg(jsonb_build_object('id', x.id, 'k', x.k))
        from jsonb_to_recordset(p_starts) as x(id uuid, k text)
        where x.k is not null and not v_refused ? x.id::text));
  end if;

  with started as (
    insert into v1.workflow_run (id, tenant_id, workflow_id, version_id, event_id, state, shard, remaining, input,
                                 metadata, timeout_ms, has_matches, replay_of, reused, parent_id, parent_key, priority,
                                 filter_id, filter_payload, starts_at, schedule_id, tick)
      select x.id, p_tenant_id, x.w, x.v, x.e, 'queued', coalesce(x.sh, p_shard), x.n, coalesce(x.i, 'null'), coalesce(x.m, '{}'),
             x.u, coalesce(x.c, false), x.ro, x.ru, case when p_are_children then (x.p->>0)::uuid end,
             case when p_are_children then x.p->>1 end, x.pr, x.f, x.fp,
             v1.moment(x.at), x.sc, v1.moment(x.tk)
        from jsonb_to_recordset(p_starts) as x(id uuid, w uuid, v uuid, e uuid, n smallint, i jsonb, m jsonb,
               u bigint, c boolean, ro uuid, ru smallint[], p jsonb, pr smallint, f uuid, fp jsonb,
               at double precision, sc uuid, tk double precision, sh smallint)
        where not v_refused ? x.id::text
        on conflict (id) do nothing
      returning id, replay_of, timeout_ms, has_matches
  )
  select coalesce(array_agg(id), '{}'), array_agg(id) filter (where replay_of is not null),
         bool_or(timeout_ms is not null), bool_or(has_matches)
    into v_started, v_replays, v_are_limited, v_has_matches from started;

  -- A repeated start inserts no run above, and so readies no task here.
  with planned as (
    select v1.task_id(x.id, d.step) as id, d.step, d.action, cardinality(d.children) as children,
           case when x.ru is null then cardinality(d.parents)
                else (select count(*) from unnest(d.parents) p(step) where p.step <> all (x.ru)) end as pending,
           d.schedule_timeout_ms, coalesce(x.h, false) or x.at is not null as is_held, d.gate is not null as is_gated,
           coalesce(x.sh, p_shard) as shard,
           (select (spill->>1)::bigint from jsonb_array_elements(x.s) spill where (spill->>0)::smallint = d.step) as lane
      from jsonb_to_recordset(p_starts)
             as x(id uuid, v uuid, s jsonb, h boolean, ru smallint[], at double precision, sh smallint)
      join v1.dag d on d.version_id = x.v
      where x.id = any (v_started) and d.kind = 'step' and (d.step = any (x.ru)) is not true
  ), inserted as (
    insert into v1.task (id, state, step, pending, children, queued_at)
      select id, case when pending = 0 and not is_held then 'queued'::v1.task_state else 'waiting' end,
             step, pending + (pending = 0 and is_held)::integer, children,
             case when pending = 0 and not is_held then p_at end
        from planned
  ), spilled as (
    insert into v1.queue_item (tenant_id, shard, action, lane, task_id, expires_at)
      select p_tenant_id, shard, case when is_gated then '' else action end, coalesce(lane, 0), id,
             p_at + schedule_timeout_ms * interval '1 millisecond'
        from planned where pending = 0 and (lane is not null or shard <> p_shard) and not is_held
  )
  select coalesce(array_agg(id) filter (where lane is null and not is_held and not is_gated and shard = p_shard), '{}'),
         coalesce(array_agg(id) filter (where not is_held and is_gated and shard = p_shard), '{}'),
         coalesce(bool_or(lane is not null), false), bool_or(is_held)
    into handed, ready, has_spilled, v_are_held from planned where pending = 0;
  if p_are_children then
    ready := ready || handed;
    handed := '{}';
  elsif v_replays is not null then
    perform v1.reuse_tasks(v_replays);
    ready := ready || array(select id from unnest(handed) u(id) where v1.run_id(id) = any (v_replays));
    handed := array(select id from unnest(handed) u(id) where v1.run_id(id) <> all (v_replays));
  end if;

  if v_are_limited or v_are_held or cardinality(v_started) < jsonb_array_length(p_starts) then
    timed := array(
      select x.id from jsonb_to_recordset(p_starts) as x(id uuid, u bigint, h boolean, at double precision)
        where x.u is not null or x.h or x.at is not null);
    insert into v1.timer (tenant_id, shard, id, kind, due_at)
      select p_tenant_id, coalesce(x.sh, p_shard), x.id, 'release'::v1.timer_kind,
             coalesce(v1.moment(x.at), 'infinity'::timestamptz)
        from jsonb_to_recordset(p_starts) as x(id uuid, h boolean, at double precision, sh smallint)
        where (x.h or x.at is not null) and x.id = any (v_started)
      union all
      select p_tenant_id, coalesce(x.sh, p_shard), x.id, 'timeout', p_at + x.u * interval '1 millisecond'
        from jsonb_to_recordset(p_starts) as x(id uuid, u bigint, h boolean, at double precision, sh smallint)
        where x.u is not null and x.h is not true and x.at is null and x.id = any (v_started);
  end if;
  if v_has_matches then
    insert into v1.match (tenant_id, shard, event_key, equality, run_id, number, kind, condition)
      select p_tenant_id, coalesce(x.sh, p_shard), c.event, h.equality, x.id, c.number, 'cancel', c."if"
        from jsonb_to_recordset(p_starts) as x(id uuid, v uuid, i jsonb, m jsonb, c boolean, sh smallint)
        join v1.workflow_version v on v.id = x.v
        cross join jsonb_to_recordset(v.cancel_on)
          as c(number smallint, event text, "if" text, "eventPath" text[], "runPath" text[])
        cross join v1.equality_hash(
          c."eventPath", jsonb_build_object('input', x.i, 'metadata', x.m) #> c."runPath") as h(equality)
        where x.c and h.equality is not null and x.id = any (v_started);
  end if;
  reply := jsonb_build_object('starts', v_refused);
  if cardinality(v_started) < jsonb_array_length(p_starts) then
    reply := reply || jsonb_build_object('known', (
      select coalesce(jsonb_agg(x.id), '[]') from jsonb_to_recordset(p_starts) as x(id uuid)
        where x.id <> all (v_started) and not v_refused ? x.id::text));
  end if;
  if p_starts @? '$[*].sh' then
    reply := reply || jsonb_build_object('touched', (
      select coalesce(jsonb_agg(distinct x.sh), '[]')
        from jsonb_to_recordset(p_starts) as x(id uuid, sh smallint)
        where x.sh <> p_shard and not v_refused ? x.id::text));
  end if;
end $$;
