-- Gives a tenant another number of shards. New runs are placed by it from now on: whoever has placed one by the
-- old number is refused as stale, as when definitions change.
--
-- Called by  the edge Worker, which has opened the new ones and then tells all of them. Its caller may have gone when
--            this gets to run: so it changes nothing unless every new shard is open.
-- Locks      the definitions (exclusive): a start that was placed by the old number has landed before this, or
--            never will.
-- Returns    as read_shards, as it is now: with another number if a new shard is not open. Null when there is no such
--            tenant.
create or replace function v1.set_shards(p_tenant_id uuid, p_count integer)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform pg_advisory_xact_lock(v1.definitions_lock(p_tenant_id));
  update v1.tenant t
    set shards = p_count, shards_version = shards_version + 1, shards_since = shards_version + 1,
        definitions_version = definitions_version + 1
    where t.id = p_tenant_id and t.shards <> p_count
      and p_count - t.shards <= (select count(*) from v1.shard s
                                   where s.tenant_id = p_tenant_id and s.closed_at is null
                                     and s.number >= t.shards and s.number < p_count);
  if found then
    -- Each has a row before anything is for it: who looks for shards with something to do looks here.
    insert into v1.shard (tenant_id, number, epoch)
      select p_tenant_id, n, 0 from generate_series(0, p_count - 1) n
      on conflict (tenant_id, number) do nothing;
  end if;
  return v1.read_shards(p_tenant_id);
end $$;
