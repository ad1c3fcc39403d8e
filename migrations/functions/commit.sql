-- Makes one batch of a shard's transitions durable and says what became ready: the only way a run
-- changes. Set-based throughout; each transition is guarded by its task's attempt and state.
--
-- Called by  the shard's committer, one call a batch, at most two in flight and never both on one run.
-- Locks      the shard's epoch (shared), the commit's own number, the definitions (shared), idempotency keys in order, then
--            runs by id. Tasks are only changed under their run's lock.
-- Repeated   with the same seq after a lost answer, it changes nothing and hands out the same tasks.
-- Raises     SK001 stale_epoch: a newer life of the shard has recovered; this one must stop.
--
-- Returns    {ready: tasks for the window, told: what became of the request}: CommitReply in
--            database/rows.ts. As json, so that tasks are text once and never a tree.
--
-- Request: tenant, shard, epoch, seq, at (ms), and any of
--   settled   seqs whose tasks have all ended or been handed out again; their handouts are deleted
--   carried   tasks to keep in hand beyond their settled handout
--   events    [{id, k: key, ik: idempotency key, p: payload, m: metadata, d: definitions version, r: [run ids]}]
--   starts    [{id, w: workflow, v: version, d: definitions version, e: event, k: idempotency key, i: input,
--              m: metadata, s: [steps to spill]}]
--   results   [{t: task, r: run, a: attempt, s: outcome, o: output, e: error, w: worker, b: began, f: finished}]
--   started   [{t, r, a, w, b}]  attempts that run long
--   logs      [{t, a, n: first number, l: [{level, message, fields, at}]}]
--   asked     [{t, a}]  attempts to classify, nothing more
--   room      {default, actions: {action: n}, bytes}: how many ready tasks the window can take
--   take      {action: n}: refill from the queue
--   backlog   true: list the actions that have queued tasks
create or replace function v1.commit(p jsonb)
returns json language plpgsql
set jit = off set plan_cache_mode = force_generic_plan set join_collapse_limit = 1
set enable_seqscan = off set enable_bitmapscan = off set enable_material = off
set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_tenant uuid := (p->>'tenant')::uuid;
  v_shard smallint := (p->>'shard')::smallint;
  v_seq bigint := (p->>'seq')::bigint;
  v_at timestamptz := v1.moment((p->>'at')::double precision);
  v_definitions bigint;
  v_handed uuid[] := '{}';
  v_ready uuid[] := '{}';
  v_part jsonb;
  v_given json;
  v_taken json;
  v_spilled text[];
  v_reply jsonb := '{}';
  v_prior uuid[];
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

  if p ? 'events' or p ? 'starts' then
    perform pg_advisory_xact_lock_shared(v1.definitions_lock(v_tenant));
    select definitions_version into v_definitions from v1.tenant where id = v_tenant;
    if p ? 'events' then
      v_reply := v_reply || v1.publish_events(v_tenant, v_at, v_definitions, p->'events');
    end if;
    if p ? 'starts' then
      select s.reply, s.handed into v_part, v_handed
        from v1.start_runs(v_tenant, v_shard, v_at, v_definitions, p->'starts', v_reply->'events') s;
      v_reply := v_reply || v_part;
    end if;
  end if;

  if p ? 'results' then
    select r.reply, r.ready into v_part, v_ready
      from v1.complete_tasks(v_tenant, v_at, p->'results') r;
    v_reply := v_reply || v_part;
  end if;
  if p ? 'started' then perform v1.record_starts(v_tenant, p->'started'); end if;
  if p ? 'logs' then perform v1.append_logs(v_tenant, p->'logs'); end if;
  if p ? 'asked' then
    v_reply := v_reply || jsonb_build_object('asked', v1.classify_results(p->'asked'));
  end if;

  if v_prior is not null then
    -- A repeat: what this seq handed out, and has not ended since, is handed out again.
    select h.ready into v_given from v1.hand_out(v_tenant, v_shard, v_prior, null) h;
    return json_build_object('ready', v_given, 'told', v_reply || '{"repeated": true}');
  end if;

  if cardinality(v_ready) > 0 then
    select h.ready, v_handed || h.handed, h.spilled into v_given, v_handed, v_spilled
      from v1.hand_out(v_tenant, v_shard, v_ready, p->'room') h;
    if v_spilled is not null then
      v_reply := v_reply || jsonb_build_object('spilled', v_spilled);
    end if;
  end if;
  if p ? 'take' then
    select t.ready, v_handed || t.handed, t.more into v_taken, v_handed, v_spilled
      from v1.take_ready(v_tenant, v_shard, p->'take', (p->'room'->>'bytes')::bigint) t;
    v_reply := v_reply || jsonb_build_object('more', v_spilled);
  end if;

  if p ? 'carried' then
    v_handed := v_handed || array(select value::uuid from jsonb_array_elements_text(p->'carried'));
  end if;
  if cardinality(v_handed) > 0 then
    insert into v1.handout (tenant_id, shard, seq, tasks) values (v_tenant, v_shard, v_seq, v_handed);
  end if;
  if p ? 'settled' then
    delete from v1.handout h using jsonb_array_elements_text(p->'settled') s(seq)
      where h.tenant_id = v_tenant and h.shard = v_shard and h.seq = s.seq::bigint;
  end if;
  if p ? 'backlog' then
    v_reply := v_reply || jsonb_build_object('backlog', v1.backlog_actions(v_tenant, v_shard));
  end if;
  if v_given is not null and v_taken is not null then
    select json_agg(task) into v_given from (
      select json_array_elements(v_given) union all select json_array_elements(v_taken)) both_of(task);
  end if;
  return json_build_object('ready', coalesce(v_given, v_taken, '[]'), 'told', v_reply);
end $$;
