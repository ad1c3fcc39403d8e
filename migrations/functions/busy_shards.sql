-- Shards that hold or await tasks, or have a timer that is due: each must have an alarm or a commit to come. Also those
-- that could be closed: what was to do that was interrupted, or had to wait for nothing that has a known end.
--
-- Called by  the edge Worker's clock, once a minute: an alarm that failed too often is dropped by the
--            platform, and a nudge brings its shard back (rule R9).
-- p_turn     another one each time
-- Returns    p_most of them at most: those with a timer that is due first, and of the others not the same at each turn.
drop function if exists v1.busy_shards();
create or replace function v1.busy_shards(p_most integer default 1000, p_turn bigint default 0)
returns jsonb language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('tenant', b.tenant_id, 'shard', b.number)), '[]') from (
    select s.tenant_id, s.number
      from v1.shard s
      cross join lateral (
        select exists (select from v1.timer t
                         where t.tenant_id = s.tenant_id and t.shard = s.number and t.due_at <= now()) as is_due) d
      where d.is_due
         or exists (select from v1.handout h
                      where h.tenant_id = s.tenant_id and h.shard = s.number and h.tasks <> '{}')
         or exists (select from v1.queue_item q where q.tenant_id = s.tenant_id and q.shard = s.number)
         or s.closed_at is null and s.number >= (select t.shards from v1.tenant t where t.id = s.tenant_id)
            and coalesce(greatest(s.unknown_until, s.held_until), '-infinity') <= now() and v1.is_shard_empty(s.tenant_id, s.number)
      order by d.is_due desc, hashtextextended(s.tenant_id || '/' || s.number, p_turn)
      limit p_most) b
$$;
