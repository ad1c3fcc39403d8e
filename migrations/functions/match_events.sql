-- Gives each event a timer, due at once, at every shard that has a run that may be waiting for it: a
-- durable to-do, because a commit must not touch runs that it doesn't name (rule R4).
--
-- Called by  commit, of events it has stored, once the runs of the same commit are started: those that
--            came before the event may be among them.
-- p_always   events that have a timer whether or not anybody waits now. A wait that looks back may begin
--            meanwhile: it is either found after this commit, or finds what this commit has stored (rule R8). Other waits see to it
--            themselves (settle_waits).
-- Returns    numbers of the shards that have one now.
drop function if exists v1.match_events(uuid, timestamptz, uuid[]);
drop function if exists v1.match_events(uuid, timestamptz, uuid[], uuid[]);
create function v1.match_events(p_tenant_id uuid, p_at timestamptz, p_events uuid[], p_always uuid[])
returns smallint[] language plpgsql as $$
declare
  v_shards smallint[];
begin
  with timed as (
  -- `limit` keeps the planner from making a join of it, which would go through all that wait for a key.
  insert into v1.timer (tenant_id, shard, id, kind, due_at)
    select p_tenant_id, s.number, e.id, 'match'::v1.timer_kind, p_at
      from unnest(p_events) u(id)
      join v1.event e on e.id = u.id
      cross join unnest(e.equalities) q(equality)
      join v1.shard s on s.tenant_id = p_tenant_id
      cross join lateral (
        select from v1.match m
          where m.tenant_id = p_tenant_id and m.event_key = e.key and m.shard = s.number
            and m.equality = q.equality and e.id > coalesce(m.since, m.run_id) limit 1
      ) found
    union
    select p_tenant_id, s.number, u.id, 'match', p_at
      from unnest(p_always) u(id)
      join v1.shard s on s.tenant_id = p_tenant_id
      where u.id = any (p_events) and s.closed_at is null
    on conflict (id, kind, shard) do nothing
    returning shard
  )
  select coalesce(array_agg(distinct shard), '{}') into v_shards from timed;
  return v_shards;
end $$;
