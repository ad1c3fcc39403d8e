-- What a delivery is verified with: the only way to the secrets.
--
-- Called by  the edge Worker, for each delivery. Nothing is cached: a secret that is taken away ends at once.
-- Returns    {definition, secrets}; null when there is no such webhook.
create or replace function v1.read_webhook(p_tenant_id uuid, p_name text)
returns jsonb language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('definition', definition, 'secrets', secrets)
    from v1.webhook where tenant_id = p_tenant_id and name = p_name
$$;
