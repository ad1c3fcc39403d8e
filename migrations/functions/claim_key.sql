-- Claims one idempotency key of something that is not done by a commit; the first to claim it has it for
-- a day.
--
-- Called by  the edge Worker, for replays by filter.
-- Returns    the id that has the key: p_id, or the first one's.
create or replace function v1.claim_key(
  p_tenant_id uuid, p_kind text, p_key text, p_id uuid, p_at timestamptz)
returns uuid language sql security definer set search_path = pg_catalog, pg_temp as $$
  select coalesce((v1.claim_keys(p_tenant_id, p_kind, p_at, jsonb_build_array(
    jsonb_build_object('id', p_id, 'k', p_key)))->>p_id::text)::uuid, p_id)
$$;
