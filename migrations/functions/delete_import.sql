-- Deletes an import.
--
-- Called by  the edge Worker.
-- Returns    whether there was one
create or replace function v1.delete_import(p_tenant_id uuid, p_id uuid)
returns boolean language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  delete from v1.imported_run where tenant_id = p_tenant_id and id = p_id;
  return found;
end $$;
