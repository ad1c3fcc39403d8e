-- Its endpoint has said that it is gone: it is told nothing any more, until it is stored again.
--
-- Called by  the edge Worker.
create or replace function v1.end_notification(p_tenant_id uuid, p_name text)
returns void language sql security definer set search_path = pg_catalog, pg_temp as $$
  update v1.notification set gone_at = now() where tenant_id = p_tenant_id and name = p_name and gone_at is null
$$;
