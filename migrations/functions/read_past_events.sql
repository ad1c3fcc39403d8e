-- Events from before a wait that it may be for, or from since it has begun, where a condition looks no further back: a
-- page for each wait, of its first condition, the latest event first. It goes through all events of the key, and gives
-- those that have the condition's equality; whether it is met is the shard's to say.
--
-- Called by  commit, when settle_waits has said that there are some.
-- p_asked    [{t: task, r: run, n: condition to begin with, e: event where the page before ended, l: events to
--            go through at most, b: bytes, s: only conditions that don't look back}]. The one that goes beyond the
--            bytes is the last.
-- Returns    [{t, n, c: condition, i: input, m: metadata, p: parents' outputs, events: [{e, k: key, p: payload,
--            m: metadata}], next: the event where to go on, or null, more: there are later conditions}];
--            nothing of a wait that has no such condition, or waits no more.
create or replace function v1.read_past_events(p_tenant_id uuid, p_asked jsonb)
returns jsonb language plpgsql as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
             't', x.t, 'n', m.number % 16, 'c', m.condition, 'i', r.input, 'm', r.metadata,
             'p', v1.parent_outputs(r.id, r.version_id, t.step),
             'events', coalesce(page.events, '[]'),
             'next', case when page.is_cut then page.last_given when page.seen >= x.l then page.last_seen end,
             'more', exists (select from v1.match later
                               where later.run_id = x.r and later.number > m.number
                                 and later.number < (t.step + 2) * 16 and not (coalesce(x.s, false) and later.since is not null)))), '[]')
      from jsonb_to_recordset(p_asked) as x(t uuid, r uuid, n integer, e uuid, l integer, b bigint, s boolean)
      join v1.workflow_run r on r.id = x.r and r.tenant_id is not distinct from p_tenant_id
      join v1.task t on t.id = x.t and t.state = 'waiting'
      join v1.task_wait w on w.task_id = t.id
      join v1.dag d on d.version_id = r.version_id and d.step = t.step
      cross join lateral (
        select m.number, m.condition, m.event_key, m.equality,
               coalesce(m.since, greatest(v1.first_id_at(w.began_at), x.r)) as since
          from v1.match m
          where m.run_id = x.r and m.number >= (t.step + 1) * 16 + x.n and m.number < (t.step + 2) * 16
            and not (coalesce(x.s, false) and m.since is not null)
          order by m.number limit 1
      ) m
      cross join lateral (
        select c."eventPath" as path
          from jsonb_to_recordset(d.gate->'wait'->'conditions') as c(n integer, "eventPath" text[])
          where c.n = m.number % 16
      ) c
      cross join lateral (
        select count(*) as seen, (array_agg(f.id order by f.id))[1] as last_seen,
               bool_or(f.is_equal and f.bytes_before >= x.b) as is_cut,
               (array_agg(f.id order by f.id) filter (where f.is_equal and f.bytes_before < x.b))[1] as last_given,
               jsonb_agg(jsonb_build_object('e', f.id, 'k', f.key, 'p', f.payload, 'm', f.metadata) order by f.id desc)
                 filter (where f.is_equal and f.bytes_before < x.b) as events
          from (
            select e.*, coalesce(sum(e.bytes) filter (where e.is_equal)
                                   over (order by e.id desc rows between unbounded preceding and 1 preceding), 0) as bytes_before
              from (
                select e.*, pg_column_size(e.payload) as bytes,
                       v1.equality_hash(c.path, jsonb_build_object('key', e.key, 'payload', e.payload,
                                                                'metadata', e.metadata) #> c.path)
                         is not distinct from m.equality as is_equal
                  from (
                    select e.id, e.key, e.payload, e.metadata from v1.event e
                      where e.tenant_id = p_tenant_id and e.key = m.event_key and e.id > m.since
                        and e.id < coalesce(x.e, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
                      order by e.id desc limit x.l
                  ) e
              ) e
          ) f
      ) page
      where v1.run_id(x.t) = x.r);
end $$;
