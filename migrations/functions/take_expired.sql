-- Takes tasks that have been queued for longer than their step allows, the longest first, so that the
-- shard can fail them. They leave the queue in the same transaction that writes their handout.
--
-- Called by  commit.
-- Locks      the rows it takes; those that another commit is taking are passed over.
-- Returns    ready and handed as hand_out.
create or replace function v1.take_expired(
  p_tenant_id uuid, p_shard smallint, p_at timestamptz, p_limit integer, p_bytes bigint,
  out ready json, out handed uuid[])
language plpgsql as $$
declare
  v_found uuid[];
  v_places tid[];
begin
  select coalesce(array_agg(q.task_id), '{}'), array_agg(q.ctid) into v_found, v_places
    from (select task_id, ctid from v1.queue_item
            where tenant_id = p_tenant_id and shard = p_shard and expires_at <= p_at
            order by expires_at limit p_limit
            for update skip locked) q;
  select h.ready, h.handed into ready, handed
    from v1.hand_out(p_tenant_id, p_shard, v_found,
                     jsonb_build_object('default', 1000000, 'bytes', coalesce(p_bytes, 1::bigint << 40))) h;
  -- Found but finished elsewhere: gone from the queue as well.
  delete from v1.queue_item where ctid = any (array(
    select f.place from unnest(v_found, v_places) f(id, place)
      where f.id = any (handed)
         or not exists (select from v1.task t where t.id = f.id and t.state in ('queued', 'running'))));
end $$;
