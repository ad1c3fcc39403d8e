-- Begins a new life of a shard: no commit of an older one can land after this (rule R1). Every task
-- that was handed out is either still leased, as the shard remembers, or goes back to the queue.
--
-- Called by  a shard that has just woken, before its first commit.
-- Locks      the shard's epoch (exclusive), then runs by id.
-- p          {tenant, shard, epoch: the last it knew, at, leases: [{t: task, a: attempt}], agenda: n,
--             holders: [runs that hold permits], lanes: n}
-- Returns    {epoch, trusted, leased: [tasks], lanes: the first n with queued tasks, limits: as read_limits, map: as read_shards,
--            over: those of the holders that are over, agenda: the n soonest timers, expiry: as read_expiry};
--            not trusted, also holding: [{r, v, i, m}] runs under limits of which an attempt has begun, unknownMs: how
--            long attempts may be running that nobody knows of: the longest timeout of those. Not trusted: its memory is not of the last life, so any handed-out
--            task may be running; each gets its next attempt written off, so that no fencing token is
--            ever given twice (rule R2).
create or replace function v1.recover_shard(p jsonb)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set plan_cache_mode = force_generic_plan set join_collapse_limit = 1
set enable_seqscan = off set enable_bitmapscan = off set enable_material = off
set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_tenant uuid := (p->>'tenant')::uuid;
  v_shard smallint := (p->>'shard')::smallint;
  v_at timestamptz := v1.moment((p->>'at')::double precision);
  v_epoch bigint;
  v_trusted boolean;
  v_leased uuid[];
  v_returned uuid[];
  v_unknown jsonb := '{}';
  v_unknown_until timestamptz;
begin
  perform pg_advisory_xact_lock(v1.shard_lock(v_tenant, v_shard));
  -- One that takes no runs and never had any is closed from its beginning.
  insert into v1.shard as s (tenant_id, number, epoch, closed_at)
    values (v_tenant, v_shard, 1, (select v_at from v1.tenant t where t.id = v_tenant and t.shards <= v_shard))
    on conflict (tenant_id, number) do update set epoch = s.epoch + 1, held_until = null
    returning s.epoch into v_epoch;
  v_trusted := v_epoch = 1 or (p->>'epoch')::bigint = v_epoch - 1;

  -- A new statement, after the lock: it sees everything the older life committed.
  select coalesce(array_agg(t.id), '{}') into v_leased
    from jsonb_to_recordset(case when v_trusted then p->'leases' else '[]' end) as x(t uuid, a integer)
    join v1.task t on t.id = x.t and t.attempt = x.a - 1 and t.state in ('queued', 'running')
    join v1.workflow_run r on r.id = v1.run_id(t.id) and r.tenant_id is not distinct from v_tenant;

  select coalesce(array_agg(distinct t.id), '{}') into v_returned
    from v1.handout h cross join unnest(h.tasks) u(id)
    join v1.task t on t.id = u.id and t.state in ('queued', 'running')
    join v1.workflow_run r on r.id = v1.run_id(t.id) and r.tenant_id is not distinct from v_tenant
    where h.tenant_id = v_tenant and h.shard = v_shard and t.id <> all (v_leased);
  perform v1.lock_runs(v_tenant, array(select v1.run_id(id) from unnest(v_returned) u(id)));
  with requeued as (
    update v1.task t
      set attempt = t.attempt + (not v_trusted)::integer, state = 'queued', queued_at = v_at,
          worker = null, started_at = null
      from unnest(v_returned) u(id)
      where t.id = u.id and (t.state = 'running' or not v_trusted)
      returning t.id, t.attempt
  )
  insert into v1.task_attempt (task_id, attempt, outcome, finished_at)
    select id, attempt, 'lost', v_at from requeued where not v_trusted;
  insert into v1.queue_item (tenant_id, shard, action, task_id, expires_at)
    select v_tenant, v_shard, case when d.gate is null then d.action else '' end, t.id, t.queued_at + d.schedule_timeout_ms * interval '1 millisecond'
      from unnest(v_returned) u(id)
      join v1.task t on t.id = u.id
      join v1.workflow_run r on r.id = v1.run_id(t.id)
      join v1.dag d on d.version_id = r.version_id and d.step = t.step
      on conflict (task_id) do nothing;
  if not v_trusted then
    -- What an earlier life has found out counts on: it may have ended before it could write that down.
    update v1.shard s
      set unknown_until = greatest(s.unknown_until, v_at + interval '1 millisecond' * (
        select coalesce(max(d.timeout_ms), 0)
          from unnest(v_returned) u(id)
          join v1.workflow_run r on r.id = v1.run_id(u.id)
          join v1.dag d on d.version_id = r.version_id and v1.task_id(r.id, d.step) = u.id))
      where s.tenant_id = v_tenant and s.number = v_shard
      returning s.unknown_until into v_unknown_until;
    v_unknown := jsonb_build_object(
      'unknownMs', greatest(0, v1.milliseconds(v_unknown_until) - v1.milliseconds(v_at)),
      'holding', (select coalesce(jsonb_agg(jsonb_build_object('r', r.id, 'v', v.id, 'i', r.input, 'm', r.metadata)), '[]')
                    from v1.workflow w
                    join v1.workflow_version v on v.workflow_id = w.id and v.dispatch ? 'limits'
                    join v1.workflow_run r on r.workflow_id = w.id and r.version_id = v.id
                                              and r.shard = v_shard and r.state = 'running' and r.started_at is not null
                    where w.tenant_id = v_tenant));
  end if;
  delete from v1.handout where tenant_id = v_tenant and shard = v_shard;
  if cardinality(v_leased) > 0 then
    insert into v1.handout (tenant_id, shard, seq, tasks) values (v_tenant, v_shard, 0, v_leased);
  end if;
  return jsonb_build_object('epoch', v_epoch, 'trusted', v_trusted, 'leased', to_jsonb(v_leased),
                            'lanes', v1.list_lanes(v_tenant, v_shard, null, coalesce((p->>'lanes')::integer, 0)),
                            'limits', v1.read_limits(v_tenant), 'map', v1.read_shards(v_tenant),
                            'over', (
                              select coalesce(jsonb_agg(h.run), '[]')
                                from jsonb_array_elements_text(coalesce(p->'holders', '[]')) h(run)
                                where not exists (
                                  select from v1.workflow_run r where r.id = h.run::uuid and r.tenant_id = v_tenant
                                                                      and r.state in ('queued', 'running'))),
                            'agenda', v1.read_agenda(v_tenant, v_shard, coalesce((p->>'agenda')::integer, 0)))
         || v_unknown || v1.read_expiry(v_tenant, v_shard);
end $$;
