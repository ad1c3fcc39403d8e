-- What this transaction has sent: [{queue}] to pgmq, [{queue, tenant, ids}] to another broker; else null.
--
-- Called by  commit and whatever else answers somebody who can tell the broker.
create or replace function v1.sent_messages()
returns jsonb language sql stable as $$
  select nullif(current_setting('skein.sent', true), '')::jsonb
$$;
