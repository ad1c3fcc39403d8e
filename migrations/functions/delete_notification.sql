-- Deletes a notification. What is on its way to it fails, and is tried no more.
--
-- Called by  the edge Worker.
-- Returns    whether there was one
create or replace function v1.delete_notification(p_tenant_id uuid, p_name text)
returns boolean language sql security definer set search_path = pg_catalog, pg_temp as $$
  with gone as (delete from v1.notification where tenant_id = p_tenant_id and name = p_name returning 1)
  select exists (select from gone)
$$;
