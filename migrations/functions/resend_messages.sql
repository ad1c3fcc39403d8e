-- Sends dead messages again, as if for the first time.
--
-- Called by  the edge Worker.
-- p_broker   which carries them now.
-- Returns    {ids: those that were dead, sent: as sent_messages has it}.
create or replace function v1.resend_messages(p_tenant_id uuid, p_ids uuid[], p_broker text)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_ids uuid[];
  v_buried bigint[];
begin
  perform set_config('skein.broker', p_broker, true);
  select array_agg(id order by id), array_agg(dead_id) into v_ids, v_buried from (
    select id, dead_id from v1.message
      where id = any (p_ids) and tenant_id is not distinct from p_tenant_id and died_at is not null
      order by id for update) dead;
  update v1.message set died_at = null, reason = null, dead_id = null, reads = 0 where id = any (v_ids);
  perform pgmq.delete('dead', v_buried);
  perform v1.hand_to_broker(p_tenant_id, of_queue.queue, of_queue.ids)
    from (select queue, array_agg(id order by id) as ids from v1.message where id = any (v_ids) group by queue) of_queue;
  return jsonb_build_object('ids', coalesce(v_ids, '{}'), 'sent', coalesce(v1.sent_messages(), '[]'));
end $$;
