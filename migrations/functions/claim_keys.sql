-- Claims idempotency keys: the first to claim a key has it for a day.
--
-- Called by  publish_events and start_runs.
-- Locks      keys in order, so that overlapping batches can't deadlock.
-- Returns    {id: first id} for the ids whose key another id has.
create or replace function v1.claim_keys(
  p_tenant_id uuid, p_kind text, p_at timestamptz, p_claims jsonb)
returns jsonb language plpgsql
as $$
declare
  v_taken jsonb;
begin
  if p_claims is null then
    return '{}';
  end if;
  insert into v1.idempotency as i (tenant_id, kind, key, id, expires_at)
    select p_tenant_id, p_kind, c.k, c.id, p_at + interval '1 day'
      from (select distinct on (x.k) x.k, x.id
              from jsonb_to_recordset(p_claims) as x(id uuid, k text) order by x.k, x.id) c
      order by c.k
    on conflict (tenant_id, kind, key) do update
      set id = excluded.id, expires_at = excluded.expires_at where i.expires_at <= p_at;
  select coalesce(jsonb_object_agg(x.id, i.id), '{}') into v_taken
    from jsonb_to_recordset(p_claims) as x(id uuid, k text)
    join v1.idempotency i on i.tenant_id = p_tenant_id and i.kind = p_kind and i.key = x.k
    where i.id <> x.id;
  return v_taken;
end $$;
