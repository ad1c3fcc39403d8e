-- Makes one batch of a shard's transitions durable and says what became ready: the only way a run
-- changes. Set-based throughout; each transition is guarded by its task's attempt and state.
--
-- Called by  the shard's committer, one call a batch, at most two in flight and never both on one run.
-- Locks      the shard's epoch (shared), the commit's own number, the definitions (shared), idempotency
--            keys in order, schedules that it moves on by id, then every run that the batch names, by id,
--            before any of them is changed.
-- Repeated   with the same seq after a lost answer, it changes nothing and hands out the same tasks.
-- Raises     SK001 stale_epoch: a newer life of the shard has recovered; this one must stop.
--
-- Returns    {ready: tasks for the window, told: what became of the request}: CommitReply in
--            database/rows.ts. As json, so that tasks are text once and never a tree.
--
-- Request: tenant, shard, epoch, seq, at (ms), and any of
--   settled   seqs whose tasks have all ended or been handed out again; their handouts are deleted
--   buried    seqs that have landed after several sendings: each keeps a handout, if an empty one, until the
--             next life, so that a sending that lands late is known as a repeat
--   carried   tasks to keep in hand beyond their settled handout
--   broker    which carries what is sent; absent: pgmq
--   events    [{id, k: key, s: scope, ik: idempotency key, p: payload, m: metadata, d: definitions version,
--              r: [run ids], ro: replay of, f: [{f: filter, e: error}] that could not be evaluated,
--              c: [{p: path in the event}] by which runs that wait for it are found, l: also looked back at,
--              q: it was accepted as a message, and is stored only if this commit removes that}]
--   starts    [{id, w: workflow, v: version, d: definitions version, n: tasks to execute, e: event,
--              k: idempotency key, i: input, m: metadata, s: [[step to spill, lane]], pr: priority, u: run timeout (ms),
--              h: held, at: when it begins (ms), c: cancelled by events, f: filter, fp: its payload, ro: replay of, ru: [steps whose outputs are reused],
--              sc: schedule, tk: the tick that it is for (ms)}]
--   ticks     [MoveRow]  of the schedules whose ticks start runs of this commit (move_schedules)
--   results   [{t: task, r: run, a: attempt, s: outcome, o: output, e: error, w: worker, b: began,
--              f: finished, d: when the next attempt is due, x: lost once too often}]; with outcome
--             `skipped` of a task that its step's conditions have skipped
--   started   [{t, r, a, w, b}]  attempts that run long
--   logs      [{t, a, n: first number, l: [{level, message, fields, at}]}]
--   asked     [{t, a}]  attempts to classify, nothing more
--   wakes     [{t, r}]  tasks whose backoff is over
--   releases  [{r}]  runs that are held or delayed no longer
--   spawns    [{t, r, a, c: [{k: key, id, w: workflow's name, i, m, x: detached, at: when it begins (ms)}]}]
--             children of attempts
--   cancels   [{r, e: error, l: leases [{t, a, w, b}]}]  by a caller or, with code run_timeout, by time
--   waits     [{t, r}]  ready tasks that begin to wait (begin_waits)
--   meets     [{t, r, n: condition, e: event}]  what tasks wait for, and has come (advance_waits)
--   elapses   [{t, r, x: whatever events there are}]  tasks of which a moment has come that they wait for
--   settles   [{t, r, h, f}]  waits that an event may have missed (settle_waits)
--   looks     [{t, r, n, e, l, b, s}]  waits of which to list events from before (read_past_events)
--   looked    [{t}]  waits for which those have been seen to: their timers are deleted
--   matches   [{e: event, r, n, l, b}]  events of which to list runs that wait for them (read_matches)
--   matched   [{e}]  events whose runs have been seen to: their timers are deleted
--   room      {default, actions: {action: n}, bytes}: how many ready tasks the window can take
--   parks     [{t, r, a, l: lane}]  tasks that go back to the queue
--   unlined   [{r}]  runs that hold limits since: their queued tasks are sorted anew (unline_tasks)
--   take      [{action, lane, n}]: refill from the queue
--   expired   n: take as many tasks that have been queued for too long
--   lanes     {after, n}: list as many lanes that have queued tasks, after {action, lane}
--   limits    the number of the stored limits that the shard knows: it is told of others
--   map       the number of the tenant's shards that the shard knows (read_shards): it is told of another
--   agenda    n: list as many of the soonest timers
create or replace function v1.commit(p jsonb)
returns json language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set plan_cache_mode = force_generic_plan set join_collapse_limit = 1
set enable_seqscan = off set enable_bitmapscan = off set enable_material = off
set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_tenant uuid := (p->>'tenant')::uuid;
  v_shard smallint := (p->>'shard')::smallint;
  v_seq bigint := (p->>'seq')::bigint;
  v_at timestamptz := v1.moment((p->>'at')::double precision);
  v_bytes bigint := (p->'room'->>'bytes')::bigint;
  v_definitions bigint;
  v_named uuid[] := '{}';
  v_handed uuid[] := '{}';
  v_ready uuid[] := '{}';
  v_ended uuid[] := '{}';
  v_timed uuid[] := '{}';
  v_awaited uuid[];
  v_given json;
  v_taken json;
  v_expired json;
  v_spilled text[];
  v_unlined text[];
  v_is_queue_changed boolean := p ?| array['take', 'expired', 'parks', 'lanes', 'agenda'];
  v_reply jsonb := '{}';
  v_prior uuid[];
  v_late jsonb;
  v_failing jsonb;
  v_touched smallint[];
begin
  perform pg_advisory_xact_lock_shared(v1.shard_lock(v_tenant, v_shard));
  perform 1 from v1.shard where tenant_id = v_tenant and number = v_shard and epoch = (p->>'epoch')::bigint;
  if not found then
    raise exception 'shard % of tenant % has been recovered since epoch %', v_shard, v_tenant, p->>'epoch'
      using errcode = 'SK001';
  end if;

  -- The same commit may still run on a connection that was given up: wait for what it does.
  perform pg_advisory_xact_lock(hashtextextended(
    'skein/commit/' || v_tenant::text || '/' || v_shard::text || '/' || v_seq::text, 0));
  select tasks into v_prior from v1.handout where tenant_id = v_tenant and shard = v_shard and seq = v_seq;

  if p ? 'broker' then perform set_config('skein.broker', p->>'broker', true); end if;
  if p ?| array['events', 'starts', 'spawns', 'releases'] then
    perform pg_advisory_xact_lock_shared(v1.definitions_lock(v_tenant));
    select definitions_version into v_definitions from v1.tenant where id = v_tenant;
    if p ? 'ticks' then
      v_late := v1.move_schedules(v_tenant, v_at, v_definitions, p->'ticks');
      if v_late <> '{}' then
        p := jsonb_set(p, '{starts}', (
          select coalesce(jsonb_agg(s), '[]') from jsonb_array_elements(p->'starts') s where not v_late ? (s->>'id')));
      end if;
    end if;
    if p ? 'events' then
      select v_reply || e.reply, e.awaited, v_timed || e.timed into v_reply, v_awaited, v_timed
        from v1.publish_events(v_tenant, v_at, v_definitions, p->'events') e;
    end if;
    if p ? 'starts' then
      select v_reply || s.reply, s.handed, s.ready, v_timed || s.timed, v_is_queue_changed or s.has_spilled
        into v_reply, v_handed, v_ready, v_timed, v_is_queue_changed
        from v1.start_runs(v_tenant, v_shard, v_at, v_definitions, p->'starts', v_reply->'events', false) s;
    end if;
    if v_late <> '{}' then v_reply := jsonb_set(v_reply, '{starts}', v_reply->'starts' || v_late); end if;
    if v_awaited is not null then
      v_touched := v1.match_events(v_tenant, v_at, v_awaited, array(
        select x.id from jsonb_to_recordset(p->'events') as x(id uuid, l boolean) where x.l));
    end if;
  end if;

  if p ? 'results' then
    v_named := array(select r from jsonb_to_recordset(p->'results') as x(r uuid));
  end if;
  if p ?| array['started', 'logs', 'wakes', 'parks', 'unlined', 'releases', 'spawns', 'cancels',
                'waits', 'meets', 'elapses'] then
    v_named := v_named || array(
      select r from jsonb_to_recordset(p->'started') as x(r uuid)
      union all select v1.run_id(t) from jsonb_to_recordset(p->'logs') as x(t uuid)
      union all select r from jsonb_to_recordset(p->'wakes') as x(r uuid)
      union all select r from jsonb_to_recordset(p->'parks') as x(r uuid)
      union all select r from jsonb_to_recordset(p->'unlined') as x(r uuid)
      union all select r from jsonb_to_recordset(p->'releases') as x(r uuid)
      union all select r from jsonb_to_recordset(p->'spawns') as x(r uuid)
      union all select r from jsonb_to_recordset(p->'cancels') as x(r uuid)
      union all select r from jsonb_to_recordset(p->'waits') as x(r uuid)
      union all select r from jsonb_to_recordset(p->'meets') as x(r uuid)
      union all select r from jsonb_to_recordset(p->'elapses') as x(r uuid));
  end if;
  if cardinality(v_named) > 0 then perform v1.lock_runs(v_tenant, v_named); end if;
  -- What an attempt says comes before what ends it.
  if p ? 'logs' then perform v1.append_logs(v_tenant, p->'logs'); end if;
  if p ? 'spawns' then
    select v_reply || s.reply, v_ready || s.ready, v_timed || s.timed into v_reply, v_ready, v_timed
      from v1.spawn_runs(v_tenant, v_shard, v_at, v_definitions, p->'spawns') s;
  end if;
  if p ? 'results' then
    select v_reply || r.reply, v_ready || r.ready, r.ended, v_timed || r.timed
      into v_reply, v_ready, v_ended, v_timed
      from v1.complete_tasks(v_tenant, v_at, p->'results') r;
  end if;
  if p ? 'started' then perform v1.record_starts(v_tenant, p->'started'); end if;
  if p ? 'wakes' then v_ready := v_ready || v1.wake_tasks(v_tenant, v_at, p->'wakes'); end if;
  if p ? 'releases' then
    select v_ready || r.ready, v_timed || r.timed into v_ready, v_timed
      from v1.release_runs(v_tenant, v_at, p->'releases') r;
  end if;
  if p ? 'waits' then v_timed := v_timed || v1.begin_waits(v_tenant, v_shard, v_at, p->'waits'); end if;
  if p ?| array['meets', 'elapses'] then
    select v_ready || w.ready, v_timed || w.timed into v_ready, v_timed
      from v1.advance_waits(v_tenant, v_shard, v_at, p->'meets', p->'elapses') w;
  end if;
  if p ? 'cancels' then
    select v_reply || c.reply, v_ready || c.ready, v_ended || c.ended, v_timed || c.timed
      into v_reply, v_ready, v_ended, v_timed
      from v1.cancel_runs(v_tenant, v_at, p->'cancels') c;
  end if;
  if p ? 'parks' then perform v1.park_tasks(v_tenant, v_shard, v_seq, p->'parks'); end if;
  if p ? 'unlined' then v_unlined := v1.unline_tasks(v_tenant, v_shard, p->'unlined'); end if;
  if p ? 'matched' then
    delete from v1.timer
      where id = any (array(select x.e from jsonb_to_recordset(p->'matched') as x(e uuid))) and kind = 'match'
        and shard is not distinct from v_shard and tenant_id is not distinct from v_tenant;
  end if;
  if p ? 'looked' then
    delete from v1.timer
      where id = any (array(select x.t from jsonb_to_recordset(p->'looked') as x(t uuid))) and kind = 'look'
        and shard is not distinct from v_shard and tenant_id is not distinct from v_tenant;
  end if;
  if p ? 'settles' then
    v_reply := v_reply || jsonb_build_object('settles', v1.settle_waits(v_tenant, v_shard, p->'settles'));
  end if;
  if p ? 'looks' then
    v_reply := v_reply || jsonb_build_object('looks', v1.read_past_events(v_tenant, p->'looks'));
  end if;
  if p ? 'matches' then
    v_reply := v_reply || jsonb_build_object('matches', v1.read_matches(v_tenant, v_shard, p->'matches'));
  end if;
  if p ? 'asked' then
    v_reply := v_reply || jsonb_build_object('asked', v1.classify_results(v_tenant, p->'asked'));
  end if;
  if p ?| array['results', 'cancels'] and exists (select from v1.notification where tenant_id = v_tenant) then
    v_ready := v_ready || v1.notify_ended(v_tenant, v_shard, v_at, v_ended || array(
      select (f->>'run')::uuid from jsonb_array_elements(v_reply->'finished') f));
  end if;
  if p ?| array['results', 'cancels'] and exists (
       select from v1.promotion where tenant_id = v_tenant and rollback_when is not null) then
    v_failing := v1.count_ended(v_tenant, v_shard, v_at, v_ended || array(
      select (f->>'run')::uuid from jsonb_array_elements(v_reply->'finished') f));
    if v_failing is not null then v_reply := v_reply || jsonb_build_object('failing', v_failing); end if;
  end if;
  if cardinality(v_ended) > 0 then
    v_reply := jsonb_set(v_reply, '{finished}', coalesce(v_reply->'finished', '[]')
                                                || v1.read_finished(v_tenant, v_ended));
  end if;
  if cardinality(v_timed) > 0 then
    v_reply := v_reply || jsonb_build_object('timers', v1.read_timers(v_tenant, v_shard, v_timed));
  end if;

  if v_prior is not null then
    -- A repeat: what this seq handed out, and has not ended since, is handed out again. Not what it
    -- only carried: the shard has that, and may have given it to a worker and forgotten it since.
    select h.ready into v_given from v1.hand_out(v_tenant, v_shard, array(
      select u.id from unnest(v_prior) u(id) where not coalesce(p->'carried' ? u.id::text, false)), null) h;
    v_reply := v_reply || '{"repeated": true}';
  else
    if cardinality(v_ready) > 0 then
      select h.ready, v_handed || h.handed, h.spilled into v_given, v_handed, v_spilled
        from v1.hand_out(v_tenant, v_shard, v_ready, p->'room') h;
      v_is_queue_changed := v_is_queue_changed or v_spilled is not null;
    end if;
    if p ? 'take' then
      select t.ready, v_handed || t.handed, v_reply || jsonb_build_object('more', t.more)
        into v_taken, v_handed, v_reply
        from v1.take_ready(v_tenant, v_shard, p->'take', v_bytes) t;
    end if;
    if p ? 'expired' then
      -- Whatever the window's room: these are not to be executed, only to be failed.
      select t.ready, v_handed || t.handed into v_expired, v_handed
        from v1.take_expired(v_tenant, v_shard, v_at, (p->>'expired')::integer, 8388608) t;
    end if;
    if p ? 'carried' then
      v_handed := v_handed || array(select value::uuid from jsonb_array_elements_text(p->'carried'));
    end if;
    if cardinality(v_handed) > 0 then
      insert into v1.handout (tenant_id, shard, seq, tasks) values (v_tenant, v_shard, v_seq, v_handed);
    end if;
    if p ? 'buried' then
      insert into v1.handout (tenant_id, shard, seq, tasks)
        select v_tenant, v_shard, b.seq::bigint, '{}' from jsonb_array_elements_text(p->'buried') b(seq)
        on conflict (tenant_id, shard, seq) do update set tasks = '{}';
    end if;
    if p ? 'settled' then
      delete from v1.handout h using jsonb_array_elements_text(p->'settled') s(seq)
        where h.tenant_id = v_tenant and h.shard = v_shard and h.seq = s.seq::bigint;
    end if;
  end if;

  if num_nonnulls(v_spilled, v_unlined) > 0 then
    v_reply := v_reply || jsonb_build_object('spilled', v_spilled || v_unlined);
  end if;
  if p ? 'lanes' then
    v_reply := v_reply || jsonb_build_object('lanes', v1.list_lanes(
      v_tenant, v_shard, p->'lanes'->'after', (p->'lanes'->>'n')::integer));
  end if;
  if p ? 'limits' and (p->>'limits')::bigint <> (select limits_version from v1.tenant where id = v_tenant) then
    v_reply := v_reply || jsonb_build_object('limits', v1.read_limits(v_tenant));
  end if;
  if p ? 'map' and (p->>'map')::bigint <> (select shards_version from v1.tenant where id = v_tenant) then
    v_reply := v_reply || jsonb_build_object('map', v1.read_shards(v_tenant));
  end if;
  -- Other shards have something to do now, and are to be told.
  if v_touched is not null then
    v_reply := jsonb_set(v_reply, '{touched}', coalesce(v_reply->'touched', '[]')
                                               || to_jsonb(array_remove(v_touched, v_shard)));
  end if;
  if p ? 'agenda' then
    v_reply := v_reply || jsonb_build_object('agenda', v1.read_agenda(v_tenant, v_shard, (p->>'agenda')::integer));
  end if;
  if v_is_queue_changed then v_reply := v_reply || v1.read_expiry(v_tenant, v_shard); end if;
  if current_setting('skein.sent', true) <> '' then
    v_reply := v_reply || jsonb_build_object('sent', v1.sent_messages());
  end if;
  if num_nonnulls(v_given, v_taken, v_expired) > 1 then
    select json_agg(task) into v_given from (
      select json_array_elements(v_given) union all select json_array_elements(v_taken)
      union all select json_array_elements(v_expired)) all_of(task);
  end if;
  return json_build_object('ready', coalesce(v_given, v_taken, v_expired, '[]'), 'told', v_reply);
end $$;
