-- Gives a tenant another number of shards. New runs are placed by it from now on: whoever has placed one by the
-- old number is refused as stale, as when definitions change.
--
-- Called by  the edge Worker, which then tells the shards.
-- Locks      the definitions (exclusive): a start that was placed by the old number has landed before this, or
--            never will.
-- Returns    as read_shards, as it is now; null when there is no such tenant.
create or replace function v1.set_shards(p_tenant_id uuid, p_count integer)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform pg_advisory_xact_lock(v1.definitions_lock(p_tenant_id));
  update v1.tenant
    set shards = p_count, shards_version = shards_version + 1, shards_since = shards_version + 1,
        definitions_version = definitions_version + 1
    where id = p_tenant_id and shards <> p_count;
  if found then
    -- Each has a row before anything is for it: who looks for shards with something to do looks here.
    insert into v1.shard (tenant_id, number, epoch)
      select p_tenant_id, n, 0 from generate_series(0, p_count - 1) n
      on conflict (tenant_id, number) do update set closed_at = null where v1.shard.closed_at is not null;
  end if;
  return v1.read_shards(p_tenant_id);
end $$;
