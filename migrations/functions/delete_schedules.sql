-- Deletes schedules, but none that a workflow declares. Runs that they have started stay as they are.
--
-- Called by  the edge Worker.
-- Locks      the schedules, by id.
-- Returns    [id] of those that were deleted
create or replace function v1.delete_schedules(p_tenant_id uuid, p_ids uuid[])
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_deleted jsonb;
begin
  perform 1 from v1.schedule where id = any (p_ids) and tenant_id = p_tenant_id order by id for update;
  with deleted as (
    delete from v1.schedule where id = any (p_ids) and tenant_id = p_tenant_id and not is_declared returning id
  )
  select coalesce(jsonb_agg(id), '[]') into v_deleted from deleted;
  return v_deleted;
end $$;
