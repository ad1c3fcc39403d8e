-- Refills a shard's window: the oldest queued tasks of each lane that it names, up to the number that it
-- asks for there. They leave the queue in the same transaction that writes their handout.
--
-- Called by  commit.
-- Locks      the rows it takes; those that another commit is taking are passed over.
-- p_demand   [{action, lane, n}]
-- Returns    ready and handed as hand_out; more: [{action, lane}] of those with tasks left in the queue.
drop function if exists v1.take_ready(uuid, smallint, jsonb, bigint);
create function v1.take_ready(
  p_tenant_id uuid, p_shard smallint, p_demand jsonb, p_bytes bigint,
  out ready json, out handed uuid[], out more jsonb)
language plpgsql as $$
declare
  v_found uuid[];
  v_places tid[];
begin
  select coalesce(array_agg(q.task_id), '{}'), array_agg(q.ctid) into v_found, v_places
    from jsonb_to_recordset(p_demand) d(action text, lane bigint, n integer)
    -- With `=` the primary key looks as good an order, and is read from its beginning.
    cross join lateral (
      select task_id, ctid from v1.queue_item
        where tenant_id = p_tenant_id and shard = p_shard and action = d.action and lane between d.lane and d.lane
        order by lane, task_id limit d.n
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
  select coalesce(jsonb_agg(jsonb_build_object('action', d.action, 'lane', d.lane)), '[]') into more
    from jsonb_to_recordset(p_demand) d(action text, lane bigint)
    -- One each: `exists` is planned as a search through all the queue.
    cross join lateral (
      select from v1.queue_item q
        where q.tenant_id = p_tenant_id and q.shard = p_shard and q.action = d.action and q.lane = d.lane limit 1
    ) waiting;
end $$;
