-- Notes what waiting tasks have waited for: events that meet conditions, sleeps that are over. A wait whose
-- conditions are met, or whose time is over, ends: its task is ready, and is judged by how it ended.
--
-- Called by  commit, under the locks of the runs.
-- p_meets    [{t: task, r: run, n: condition, e: event}]
-- p_elapses  [{t, r, x: whether or not events have been seen to}] whose `wait` timer is due
-- Puts off   a moment that has come while the shard has yet to see to an event that was stored before, by whatever shard,
--            or that may have missed the wait: both are timers of the shard, and are told with the task's.
-- Ignores    a task that does not wait, and a condition that has been met.
-- Returns    ready: ids of ready tasks; timed: tasks that may have been given a timer, now or by an
--            earlier sending.
create or replace function v1.advance_waits(
  p_tenant_id uuid, p_shard smallint, p_at timestamptz, p_meets jsonb, p_elapses jsonb,
  out ready uuid[], out timed uuid[])
language plpgsql as $$
declare
  v_hits jsonb;
  v_left uuid[];
  v_due timestamptz[];
  v_final uuid[] := array(select x.t from jsonb_to_recordset(p_elapses) as x(t uuid, x boolean) where x.x);
  v_pending timestamptz;
begin
  -- Looked up by task and condition below; of several events the first counts.
  select coalesce(jsonb_object_agg(x.t || '/' || x.n, x.e order by x.e desc), '{}') into v_hits
    from jsonb_to_recordset(p_meets) as x(t uuid, n integer, e uuid);
  timed := array(
    select x.t from jsonb_to_recordset(p_meets) as x(t uuid)
    union select x.t from jsonb_to_recordset(p_elapses) as x(t uuid));
  select min(due_at) into v_pending from v1.timer
    where tenant_id = p_tenant_id and shard = p_shard and kind = 'match' and due_at <= p_at;

  with open as (
    select w.*, d.gate->'wait' as wait, least(
             p_at, case when u.id <> all (v_final) then least(v_pending, (
               select k.due_at from v1.timer k where k.id = u.id and k.kind = 'look' limit 1))
             end - interval '1 microsecond') as past
      from unnest(timed) u(id)
      join v1.workflow_run r on r.id = v1.run_id(u.id) and r.tenant_id is not distinct from p_tenant_id
      join v1.task t on t.id = u.id and t.state = 'waiting'
      join v1.task_wait w on w.task_id = u.id and w.ended_at is null
      join v1.dag d on d.version_id = r.version_id and d.step = t.step
  ), hit as (
    select o.*, o.met | f.bits as now_met, o.found || f.entries as now_found
      from open o
      cross join lateral (
        select coalesce(bit_or(1 << c.n), 0) as bits,
               coalesce(jsonb_agg(jsonb_build_object('condition', c.n, 'at', v1.milliseconds(p_at))
                 || case when e.id is null then '{}' else jsonb_build_object('event', jsonb_build_object(
                      'id', e.id, 'key', e.key, 'payload', e.payload, 'metadata', e.metadata)) end
                 order by c.n), '[]') as entries
          from jsonb_to_recordset(o.wait->'conditions') as c(n integer, "sleepMs" double precision)
          left join v1.event e on e.id = (v_hits->>(o.task_id || '/' || c.n))::uuid
                                  and e.tenant_id is not distinct from p_tenant_id
          where o.met & (1 << c.n) = 0
            and (e.id is not null or o.began_at + c."sleepMs" * interval '1 millisecond' <= o.past)
      ) f
  ), judged as (
    select h.*, exists (select from jsonb_array_elements_text(h.wait->'sets') s(bits)
                          where s.bits::integer & h.now_met = s.bits::integer) as now_is_met
      from hit h
  ), noted as (
    update v1.task_wait w
      set met = j.now_met, found = j.now_found,
          is_met = case when j.now_is_met or j.times_out_at <= j.past then j.now_is_met end,
          ended_at = case when j.now_is_met or j.times_out_at <= j.past then p_at end
      from judged j where w.task_id = j.task_id
      returning w.task_id, w.ended_at, v1.next_of_wait(j.wait, w.began_at, w.times_out_at, w.met) as due_at
  )
  select array_agg(task_id) filter (where ended_at is not null),
         array_agg(task_id) filter (where ended_at is null), array_agg(due_at) filter (where ended_at is null)
    into ready, v_left, v_due from noted;

  if v_pending <= any (v_due) and (select min(d) from unnest(v_due) d) <= p_at then
    timed := timed || array(
      select id from v1.timer
        where tenant_id = p_tenant_id and shard = p_shard and kind = 'match' and due_at <= p_at
        order by due_at limit 100);
  end if;
  if v_left is not null then
    delete from v1.match where ctid = any (array(
      select m.place
        from jsonb_to_recordset(p_meets) as x(t uuid, n integer)
        join v1.task t on t.id = x.t
        cross join lateral (
          select ctid as place from v1.match
            where run_id = v1.run_id(x.t) and number = (t.step + 1) * 16 + x.n offset 0
        ) m
        where x.t = any (v_left)));
    update v1.timer m set due_at = coalesce(v_due[array_position(v_left, m.id)], 'infinity')
      where m.id = any (v_left) and m.kind = 'wait';
  end if;
  if ready is not null then
    update v1.task t set state = 'queued', queued_at = p_at
      from unnest(ready) u(id) where t.id = u.id;
    delete from v1.match where ctid = any (array(
      select m.place
        from unnest(ready) u(id)
        join v1.task t on t.id = u.id
        cross join lateral (
          select ctid as place from v1.match
            where run_id = v1.run_id(u.id) and number between (t.step + 1) * 16 and (t.step + 1) * 16 + 15 offset 0
        ) m));
    delete from v1.timer where id = any (ready) and kind in ('wait', 'look');
  end if;
end $$;
