-- Stores events, each once by its idempotency key.
--
-- Called by  commit, before the runs that the events start.
-- Returns    {events: {id: reason}} of those that were not stored now: `stale` (matched against older
--            definitions: match again), or {id, runs} of the event that had the key first.
create or replace function v1.publish_events(
  p_tenant_id uuid, p_at timestamptz, p_definitions bigint, p_events jsonb)
returns jsonb language plpgsql
as $$
declare
  v_taken jsonb;
  v_refused jsonb;
begin
  v_taken := v1.claim_keys(p_tenant_id, 'event', p_at, (
    select jsonb_agg(jsonb_build_object('id', x.id, 'k', x.ik))
      from jsonb_to_recordset(p_events) as x(id uuid, ik text, d bigint)
      where x.ik is not null and x.d = p_definitions));

  insert into v1.event (id, tenant_id, key, payload, metadata, runs)
    select x.id, p_tenant_id, x.k, coalesce(x.p, 'null'), coalesce(x.m, '{}'), x.r
      from jsonb_to_recordset(p_events) as x(id uuid, k text, p jsonb, m jsonb, r uuid[], d bigint)
      where x.d = p_definitions and not v_taken ? x.id::text
      on conflict (id) do nothing;

  -- A new statement: it sees an event of this batch, or of a commit a moment ago.
  select coalesce(jsonb_object_agg(t.key, jsonb_build_object('id', t.value, 'runs', e.runs)), '{}')
    into v_refused
    from jsonb_each_text(v_taken) t left join v1.event e on e.id = t.value::uuid;
  select v_refused || coalesce(jsonb_object_agg(x.id, 'stale'), '{}') into v_refused
    from jsonb_to_recordset(p_events) as x(id uuid, d bigint)
    where x.d <> p_definitions
      -- Stored by this very request, before its answer was lost.
      and not exists (select from v1.event e where e.id = x.id and e.tenant_id = p_tenant_id);
  return jsonb_build_object('events', v_refused);
end $$;
