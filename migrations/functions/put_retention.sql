-- Says for how many days a tenant's history may be read. Reads follow at once.
--
-- Called by  the edge Worker.
-- Locks      retention, so that no month is dropped by a period that is being changed.
-- p_days     null: for ever
-- Returns    whether there is such a tenant
create or replace function v1.put_retention(p_tenant_id uuid, p_days integer)
returns boolean language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform pg_advisory_xact_lock(v1.retention_lock());
  update v1.tenant set retention_days = p_days, retention_changed_at = now()
    where id = p_tenant_id and retention_days is distinct from p_days;
  return found or exists (select from v1.tenant where id = p_tenant_id);
end $$;
