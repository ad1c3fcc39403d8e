-- Refills a shard's window: the oldest queued tasks of each action it asks for, up to the number it
-- asks for. They leave the queue in the same transaction that writes their handout.
--
-- Called by  commit.
-- Locks      the rows it takes; those that another commit is taking are passed over.
-- Returns    ready and handed as hand_out; more: the actions with tasks left in the queue.
create or replace function v1.take_ready(
  p_tenant_id uuid, p_shard smallint, p_demand jsonb, p_bytes bigint,
  out ready json, out handed uuid[], out more text[])
language plpgsql as $$
declare
  v_found uuid[];
  v_places tid[];
begin
  select coalesce(array_agg(q.task_id), '{}'), array_agg(q.ctid) into v_found, v_places
    from jsonb_each_text(p_demand) d(action, count)
    cross join lateral (
      select task_id, ctid from v1.queue_item
        where tenant_id = p_tenant_id and shard = p_shard and action = d.action
        order by task_id limit d.count::integer
        for update skip locked
    ) q;
  -- Room is by bytes only: the demand was the room by count. What is too many bytes stays queued.
  select h.ready, h.handed into ready, handed
    from v1.hand_out(p_tenant_id, p_shard, v_found,
                     jsonb_build_object('default', 1000000, 'bytes', coalesce(p_bytes, 1::bigint << 40))) h;
  -- Found but finished elsewhere: gone from the queue as well.
  delete from v1.queue_item where ctid = any (array(
    select f.place from unnest(v_found, v_places) f(id, place)
      where f.id = any (handed)
         or not exists (select from v1.task t where t.id = f.id and t.state in ('queued', 'running'))));
  select coalesce(array_agg(d.action), '{}') into more
    from jsonb_object_keys(p_demand) d(action)
    -- One each: `exists` is planned as a search for the actions of all the queue.
    cross join lateral (
      select from v1.queue_item q
        where q.tenant_id = p_tenant_id and q.shard = p_shard and q.action = d.action limit 1
    ) waiting;
end $$;
