-- Whether a shard has nothing left to do, now or ever. Nothing can have: of a run that is not over, some task is not
-- over whose parents are, and that one is ready (in the queue or in a handout), in backoff (a timer), waits for what
-- its step says (a match for each event, a timer for anything else), or begins when its run is released (a timer). All
-- of these are rows of its run's shard, as are what compensates it and its children. An event that may concern its
-- runs has a timer there as well, until they have been looked at.
--
-- Called by  close_shard, under its locks; busy_shards.
create or replace function v1.is_shard_empty(p_tenant_id uuid, p_shard smallint)
returns boolean language sql stable as $$
  select not exists (select from v1.handout where tenant_id = p_tenant_id and shard = p_shard and tasks <> '{}')
     and not exists (select from v1.queue_item where tenant_id = p_tenant_id and shard = p_shard)
     and not exists (select from v1.timer where tenant_id = p_tenant_id and shard = p_shard)
     and not exists (
       -- From key to key: the index has each shard's matches below their event's key.
       with recursive keys as (
         (select event_key from v1.match where tenant_id = p_tenant_id order by event_key limit 1)
         union all
         select next.event_key from keys k cross join lateral (
           select m.event_key from v1.match m
             where m.tenant_id = p_tenant_id and m.event_key > k.event_key order by m.event_key limit 1) next
       )
       select from keys k cross join lateral (
         select from v1.match m
           where m.tenant_id = p_tenant_id and m.event_key = k.event_key and m.shard = p_shard limit 1) found)
$$;
