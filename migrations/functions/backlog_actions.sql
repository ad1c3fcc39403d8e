-- The actions that have queued tasks at a shard, by skipping from one action to the next in the
-- index: as many steps as there are actions, however long the queues.
create or replace function v1.backlog_actions(p_tenant_id uuid, p_shard smallint)
returns jsonb language sql stable as $$
  with recursive action as (
    (select q.action from v1.queue_item q
       where q.tenant_id = p_tenant_id and q.shard = p_shard order by q.action limit 1)
    union all
    select (select q.action from v1.queue_item q
              where q.tenant_id = p_tenant_id and q.shard = p_shard and q.action > a.action
              order by q.action limit 1)
      from action a where a.action is not null
  )
  select coalesce(jsonb_agg(a.action), '[]') from action a where a.action is not null
$$;
