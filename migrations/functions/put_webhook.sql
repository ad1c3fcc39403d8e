-- Stores a webhook, or changes it. The next delivery is judged by it, everywhere.
--
-- Called by  the edge Worker, which has checked the definition.
-- Locks      the tenant's row: webhooks change one at a time.
-- p_secrets  null: as they are; then there must be some, and of the same provider
-- p_most     how many webhooks there may be
-- Returns    {name, definition, secret_count, created_at, updated_at, created}; or {refused}: `too_many`,
--            or `secrets`, which must be given. Never a secret.
create or replace function v1.put_webhook(
  p_tenant_id uuid, p_name text, p_definition jsonb, p_secrets text[], p_most integer)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_known v1.webhook;
  v_stored v1.webhook;
  v_created boolean;
begin
  perform from v1.tenant where id = p_tenant_id for no key update;
  select * into v_known from v1.webhook where tenant_id = p_tenant_id and name = p_name;
  v_created := v_known.name is null;
  if v_created and (select count(*) from v1.webhook where tenant_id = p_tenant_id) >= p_most then
    return '{"refused": "too_many"}';
  end if;
  if p_secrets is null and v_known.definition ->> 'provider' is distinct from p_definition ->> 'provider' then
    return '{"refused": "secrets"}';
  end if;
  p_secrets := coalesce(p_secrets, v_known.secrets);
  if v_created or (v_known.definition, v_known.secrets) is distinct from (p_definition, p_secrets) then
    insert into v1.webhook (tenant_id, name, definition, secrets, secret_count)
      values (p_tenant_id, p_name, p_definition, p_secrets, cardinality(p_secrets))
      on conflict (tenant_id, name) do update
        set definition = excluded.definition, secrets = excluded.secrets,
            secret_count = excluded.secret_count, updated_at = now();
  end if;
  select * into v_stored from v1.webhook where tenant_id = p_tenant_id and name = p_name;
  return to_jsonb(v_stored) - 'tenant_id' - 'secrets' || jsonb_build_object('created', v_created);
end $$;
