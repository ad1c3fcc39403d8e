-- A notification with its secrets, to deliver it; null when it is not there, or its endpoint is gone.
--
-- Called by  the edge Worker, for each attempt to deliver.
create or replace function v1.read_notification(p_tenant_id uuid, p_name text)
returns jsonb language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('url', url, 'secrets', secrets)
    from v1.notification where tenant_id = p_tenant_id and name = p_name and gone_at is null
$$;
