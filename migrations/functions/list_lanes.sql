-- The lanes that have queued tasks at a shard, after a given one, by skipping from one to the next in
-- the index: as many steps as there are lanes, however long they are.
--
-- p_after    {action, lane}; null: from the first
-- Returns    [{action, lane}] in the index's order, at most p_limit.
create or replace function v1.list_lanes(p_tenant_id uuid, p_shard smallint, p_after jsonb, p_limit integer)
returns jsonb language sql stable as $$
  with recursive lane(action, number, position) as (
    (select q.action, q.lane, 1 from v1.queue_item q
       where q.tenant_id = p_tenant_id and q.shard = p_shard
         and (q.action, q.lane) > (coalesce(p_after->>'action', ''),
                                   coalesce((p_after->>'lane')::bigint, -1))
       order by q.action, q.lane limit 1)
    union all
    select next.action, next.lane, l.position + 1
      from lane l
      cross join lateral (
        select q.action, q.lane from v1.queue_item q
          where q.tenant_id = p_tenant_id and q.shard = p_shard and (q.action, q.lane) > (l.action, l.number)
          order by q.action, q.lane limit 1
      ) next
      where l.position < p_limit
  )
  select coalesce(jsonb_agg(jsonb_build_object('action', action, 'lane', number) order by position), '[]')
    from lane where p_limit > 0
$$;
