-- Says of waits that have begun whether an event may have missed them: one that was being stored by another
-- transaction as the wait was, so that neither has seen the other (rule R8, decision 30). Whatever may have missed a wait
-- has an older transaction than the first asking about it; once those are over, a look at what is there finds it.
--
-- Called by  commit, when a `look` timer is due.
-- p_asked    [{t: task, r: run, h: what the first asking said, f: it has been asked often}]
-- Returns    [{t, s: `over`: nothing has, and its timer is gone; `look`: there are events to be looked at, from before
--            or since the wait has begun; `rest`: to be asked again, h: the transaction that it waits for, null: for none}]
create or replace function v1.settle_waits(p_tenant_id uuid, p_shard smallint, p_asked jsonb)
returns jsonb language plpgsql as $$
declare
  -- Given before the snapshot below: every transaction that has stored an event by now has a smaller one.
  v_own xid8 := pg_current_xact_id();
  v_oldest xid8;
  v_settled jsonb;
begin
  select pg_snapshot_xmin(pg_current_snapshot()) into v_oldest;
  -- A new statement: it sees whatever was over by then.
  select coalesce(jsonb_agg(jsonb_build_object(
           't', x.t, 'h', case when not o.is_over and found.is_missable then o.horizon end,
           's', case when not found.has_past and (o.is_over or not found.is_missable) then 'over'
                     when found.has_past then 'look' else 'rest' end)), '[]')
    into v_settled
    from (select x.*, coalesce(x.h, v_own) as horizon
            from jsonb_to_recordset(p_asked) as x(t uuid, r uuid, h xid8, f boolean)
            where v1.run_id(x.t) = x.r) x
    cross join lateral (
      select x.horizon, x.horizon <= v_oldest or (x.f and v1.are_events_stored(p_tenant_id, x.horizon)) as is_over
    ) o
    cross join lateral (
      select coalesce(bool_or(m.since is null), false) as is_missable, -- an event that may be looked back for sees to it itself
             coalesce(bool_or((m.since is not null and x.h is null) or (m.since is null and exists (
               select from v1.event e
                 where e.tenant_id = p_tenant_id and e.key = m.event_key
                   and e.id > greatest(v1.first_id_at(w.began_at), x.r) offset 0))), false) as has_past
        from v1.workflow_run r
        join v1.task t on t.id = x.t and t.state = 'waiting'
        join v1.task_wait w on w.task_id = t.id
        cross join lateral (
          select m.event_key, m.since from v1.match m
            where m.run_id = x.r and m.number between (t.step + 1) * 16 and (t.step + 1) * 16 + 15 offset 0
        ) m
        where r.id = x.r and r.tenant_id is not distinct from p_tenant_id
    ) found;
  delete from v1.timer
    where id = any (array(select (s->>'t')::uuid from jsonb_array_elements(v_settled) s where s->>'s' = 'over'))
      and kind = 'look' and shard is not distinct from p_shard and tenant_id is not distinct from p_tenant_id;
  return v_settled;
end $$;
