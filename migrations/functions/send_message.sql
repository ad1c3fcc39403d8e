-- Sends one message in the transaction of whatever caused it: with that it is sent, or is not.
--
-- Called by  whatever must reach another shard, within a commit. The commit's reply then says `sent`, and
--            the shard has the message handled at once.
-- Returns    its id.
create or replace function v1.send_message(
  p_tenant_id uuid, p_queue text, p_kind text, p_body jsonb, p_id uuid default v1.message_id())
returns uuid language plpgsql as $$
begin
  perform v1.send_messages(p_tenant_id, p_queue, p_kind, jsonb_build_array(
    jsonb_build_object('id', p_id, 'body', p_body)));
  return p_id;
end $$;
