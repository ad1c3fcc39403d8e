-- Deletes dead messages. An event that was accepted and is never to be published gives its idempotency key
-- back.
--
-- Called by  the edge Worker.
-- Returns    those that were dead.
create or replace function v1.delete_messages(p_tenant_id uuid, p_ids uuid[])
returns uuid[] language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_ids uuid[];
  v_buried bigint[];
begin
  select array_agg(id order by id), array_agg(dead_id) into v_ids, v_buried from (
    select id, dead_id from v1.message
      where id = any (p_ids) and tenant_id is not distinct from p_tenant_id and died_at is not null
      order by id for update) dead;
  delete from v1.idempotency i using v1.message m
    where m.id = any (v_ids) and i.tenant_id = p_tenant_id and i.kind = m.kind and i.key = m.body->>'ik'
      and i.id = m.id;
  delete from v1.message where id = any (v_ids);
  perform pgmq.delete('dead', v_buried);
  return coalesce(v_ids, '{}');
end $$;
