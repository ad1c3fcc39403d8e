-- Sends messages: writes their rows, and leaves their ids with the broker that the transaction uses, which
-- is pgmq unless the setting skein.broker says otherwise (use_broker).
--
-- Called by  send_message, accept_events.
-- p_messages [{id, body}]; one whose id is known is not sent again.
create or replace function v1.send_messages(p_tenant_id uuid, p_queue text, p_kind text, p_messages jsonb)
returns void language plpgsql as $$
declare
  v_ids uuid[];
begin
  with sent as (
    insert into v1.message (id, tenant_id, queue, kind, body, bytes)
      select x.id, p_tenant_id, p_queue, p_kind, coalesce(x.body, 'null'), octet_length(coalesce(x.body, 'null')::text)
        from jsonb_to_recordset(p_messages) as x(id uuid, body jsonb)
        on conflict (id) do nothing
      returning id
  )
  select array_agg(id) into v_ids from sent;
  perform v1.hand_to_broker(p_tenant_id, p_queue, v_ids);
end $$;
