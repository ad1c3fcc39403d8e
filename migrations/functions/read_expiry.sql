-- When the first task in a shard's queue has been there for too long: {expiry: ms}, or nothing.
--
-- Called by  commit, after what may have changed it, and recover_shard.
create or replace function v1.read_expiry(p_tenant_id uuid, p_shard smallint)
returns jsonb language plpgsql as $$
declare
  v_expires timestamptz;
begin
  select expires_at into v_expires from v1.queue_item
    where tenant_id = p_tenant_id and shard = p_shard and expires_at is not null
    order by expires_at limit 1;
  return case when v_expires is null then '{}' else jsonb_build_object('expiry', v1.milliseconds(v_expires)) end;
end $$;
