-- A tenant's shards: ShardMap in protocol/shard-map.ts.
--
-- Called by  the edge Worker, commit and recover_shard.
-- Returns    {version, since: the version that last changed `count`, count: those that take new runs, numbered from
--            0, draining: [numbers] of those that only finish what they have}; null when there is no such tenant.
create or replace function v1.read_shards(p_tenant_id uuid)
returns jsonb language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('version', t.shards_version, 'since', t.shards_since, 'count', t.shards, 'draining', coalesce((
      select jsonb_agg(s.number order by s.number) from v1.shard s
        where s.tenant_id = t.id and s.number >= t.shards and s.closed_at is null), '[]'))
    from v1.tenant t where t.id = p_tenant_id
$$;
