-- Closes a shard that takes no new runs and has nothing left: from now on it is none of the tenant's shards. Who
-- reaches it all the same is answered as before: what it was asked to do is in Postgres, and is over.
--
-- Called by  the shard, when it comes to rest.
-- Locks      the shard's epoch (exclusive): all of its commits have landed; then the definitions (exclusive): no other
--            shard's commit is starting a run for it, and the number of shards doesn't change meanwhile.
-- Returns    as read_shards, also when it is closed already; null: it has something left, takes runs again, is of an
--            older epoch, or attempts may be running of which nobody knows any more
create or replace function v1.close_shard(p_tenant_id uuid, p_shard smallint, p_epoch bigint, p_at double precision)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_closed_at timestamptz;
begin
  perform pg_advisory_xact_lock(v1.shard_lock(p_tenant_id, p_shard));
  perform pg_advisory_xact_lock(v1.definitions_lock(p_tenant_id));
  -- New statements, after the locks: they see everything that was committed before.
  select s.closed_at into v_closed_at
    from v1.shard s join v1.tenant t on t.id = s.tenant_id and t.shards <= s.number
    where s.tenant_id = p_tenant_id and s.number = p_shard and s.epoch = p_epoch
      and coalesce(s.unknown_until, '-infinity') <= v1.moment(p_at)
      and (s.closed_at is not null or v1.is_shard_empty(p_tenant_id, p_shard));
  if not found then return null; end if;
  if v_closed_at is null then
    update v1.shard set closed_at = v1.moment(p_at) where tenant_id = p_tenant_id and number = p_shard;
    update v1.tenant set shards_version = shards_version + 1 where id = p_tenant_id;
  end if;
  return v1.read_shards(p_tenant_id);
end $$;
