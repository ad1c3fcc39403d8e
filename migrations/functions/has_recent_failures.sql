-- Whether a webhook has had so many failures within the last minute.
--
-- Called by  record_webhook_failure. Volatile: the second call must see what was written meanwhile.
create or replace function v1.has_recent_failures(p_tenant_id uuid, p_name text, p_most integer)
returns boolean language sql as $$
  select count(*) >= p_most from v1.webhook_failure
    where tenant_id = p_tenant_id and webhook = p_name and at > now() - interval '1 minute'
$$;
