-- Stores a notification, or another definition of it. It is in force at the next commit.
--
-- Called by  the edge Worker, once the workflow that delivers is registered.
-- Locks      the tenant's row
-- p          {url, states, workflows, secrets: absent: as they are, made: a secret for a new one}
-- Returns    the notification without its secrets, with created; null: there are p_most already
create or replace function v1.put_notification(p_tenant_id uuid, p_name text, p jsonb, p_most integer)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_secrets text[];
  v_stored v1.notification;
begin
  perform from v1.tenant where id = p_tenant_id for update;
  select secrets into v_secrets from v1.notification where tenant_id = p_tenant_id and name = p_name;
  if not found and (select count(*) from v1.notification where tenant_id = p_tenant_id) >= p_most then
    return null;
  end if;
  insert into v1.notification as n (tenant_id, name, url, states, workflows, secrets)
    values (p_tenant_id, p_name, p->>'url',
            array(select s::v1.run_state from jsonb_array_elements_text(p->'states') s),
            case when p ? 'workflows' then array(select jsonb_array_elements_text(p->'workflows')) end,
            case when p ? 'secrets' then array(select jsonb_array_elements_text(p->'secrets'))
                 else coalesce(v_secrets, array[p->>'made']) end)
    on conflict (tenant_id, name) do update
      set url = excluded.url, states = excluded.states, workflows = excluded.workflows,
          secrets = excluded.secrets, gone_at = null, updated_at = now()
    returning * into v_stored;
  return to_jsonb(v_stored) - '{tenant_id,secrets}'::text[] || jsonb_build_object('created', v_secrets is null);
end $$;
