-- The advisory lock of a shard's epoch: shared by commits, exclusive for recovery.
create or replace function v1.shard_lock(p_tenant_id uuid, p_shard integer)
returns bigint language sql immutable strict parallel safe as $$
  select hashtextextended('skein/shard/' || p_tenant_id::text || '/' || p_shard::text, 0)
$$;
