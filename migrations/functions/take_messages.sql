-- Removes the messages that became events of this request: whoever removes the row has the effect (rule
-- R7). One that was matched against older definitions keeps its row, because it is matched again.
--
-- Called by  publish_events.
-- Locks      messages, by id.
-- Returns    the events whose rows are not there: they happen elsewhere, or have happened.
create or replace function v1.take_messages(p_tenant_id uuid, p_definitions bigint, p_events jsonb)
returns uuid[] language plpgsql as $$
declare
  v_named uuid[] := array(select x.id from jsonb_to_recordset(p_events) as x(id uuid, d bigint, q boolean)
                            where x.q and x.d = p_definitions order by x.id);
  v_removed uuid[];
begin
  perform from v1.message where id = any (v_named) order by id for update;
  with removed as (
    delete from v1.message
      where id = any (v_named) and tenant_id is not distinct from p_tenant_id and died_at is null
      returning id
  )
  select array_agg(id) into v_removed from removed;
  return array(select id from unnest(v_named) u(id) where (id = any (v_removed)) is not true);
end $$;
