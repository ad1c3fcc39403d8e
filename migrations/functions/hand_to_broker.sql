-- Leaves the ids of messages with the transaction's broker, and notes that, for whoever tells the broker
-- once the transaction has committed (sent_messages). For pgmq the ids are rows of this transaction; for
-- another they are only noted, and a moment is set at which the clock sees to what it has not brought.
--
-- Called by  send_messages, resend_messages, waiting_messages.
create or replace function v1.hand_to_broker(
  p_tenant_id uuid, p_queue text, p_ids uuid[], p_patience interval default '1 minute')
returns void language plpgsql as $$
declare
  v_note jsonb;
  v_noted jsonb := coalesce(v1.sent_messages(), '[]');
begin
  if p_ids is null then
    return;
  end if;
  if coalesce(nullif(current_setting('skein.broker', true), ''), 'pgmq') = 'pgmq' then
    perform pgmq.send_batch(p_queue, array(
      select jsonb_build_object('tenant', p_tenant_id, 'id', u.id)
        from unnest(p_ids) with ordinality as u(id, place) order by u.place));
    v_note := jsonb_build_object('queue', p_queue);
  else
    update v1.message set due_at = clock_timestamp() + p_patience where id = any (p_ids);
    v_note := jsonb_build_object('queue', p_queue, 'tenant', p_tenant_id, 'ids', p_ids);
  end if;
  if not v_noted @> jsonb_build_array(v_note) then
    perform set_config('skein.sent', (v_noted || v_note)::text, true);
  end if;
end $$;
