-- A shard that drains can't be closed before this moment: what it knows of limits must be kept until then. It wakes then
-- by itself, so until it is past nobody need remind it that it has nothing left.
--
-- Called by  the shard, when it comes to rest.
-- Locks      the shard's row. One of an older epoch changes nothing; a new life says it again (recover_shard).
create or replace function v1.hold_shard(p_tenant_id uuid, p_shard smallint, p_epoch bigint, p_until double precision)
returns void language sql security definer set search_path = pg_catalog, pg_temp as $$
  update v1.shard set held_until = v1.moment(p_until)
    where tenant_id = p_tenant_id and number = p_shard and epoch = p_epoch
$$;
