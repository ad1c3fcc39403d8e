-- Opens shards that are to take runs soon: they are there, and take none yet. Everybody treats them as shards that
-- drain, so workers connect to them, and one that never gets to take runs closes as one with nothing left.
--
-- Called by  the edge Worker, before set_shards.
-- Locks      the definitions (exclusive): no shard is closed, and their number doesn't change, meanwhile.
-- Returns    as read_shards, also when all of them were there; null when there is no such tenant.
create or replace function v1.open_shards(p_tenant_id uuid, p_count integer)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if p_count not between 1 and 1024 then
    raise check_violation using message = 'a tenant has 1 to 1024 shards';
  end if;
  perform pg_advisory_xact_lock(v1.definitions_lock(p_tenant_id));
  insert into v1.shard (tenant_id, number, epoch)
    select p_tenant_id, n, 0 from v1.tenant t, generate_series(t.shards, p_count - 1) n where t.id = p_tenant_id
    on conflict (tenant_id, number) do update set closed_at = null where v1.shard.closed_at is not null;
  if found then
    update v1.tenant set shards_version = shards_version + 1 where id = p_tenant_id;
  end if;
  return v1.read_shards(p_tenant_id);
end $$;
