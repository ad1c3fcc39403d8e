-- Deletes a webhook, with its secrets and what was refused there.
--
-- Called by  the edge Worker.
-- Returns    whether there was one.
create or replace function v1.delete_webhook(p_tenant_id uuid, p_name text)
returns boolean language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  delete from v1.webhook where tenant_id = p_tenant_id and name = p_name;
  return found;
end $$;
