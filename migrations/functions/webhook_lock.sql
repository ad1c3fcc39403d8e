-- The advisory lock of a webhook's recorded failures: they are written one at a time, so that there are
-- never more than there may be.
create or replace function v1.webhook_lock(p_tenant_id uuid, p_name text)
returns bigint language sql immutable strict parallel safe as $$
  select hashtextextended('skein/webhook/' || p_tenant_id::text || '/' || p_name, 0)
$$;
