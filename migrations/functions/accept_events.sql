-- Accepts events that the tenant's shard can't take now: each becomes a message, and is published when that
-- is handled, under the same id. Its idempotency key is claimed at once.
--
-- Called by  the edge Worker, when a shard has not answered, or has too much to commit.
-- p_events   [{id, k: key, s: scope, ik: idempotency key, p: payload, m: metadata, ro: replay of}]
-- p_broker   which carries the messages.
-- p_most     so many events of a tenant may wait; with more, none of these is accepted.
-- Returns    null when that is so; else {known: {id: {id, runs}} of those that were published or accepted
--            before, by that key or by this very call; runs are null of one that waits;
--            sent: as sent_messages has it}.
create or replace function v1.accept_events(
  p_tenant_id uuid, p_at timestamptz, p_events jsonb, p_broker text, p_most integer)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_taken jsonb;
  v_known jsonb;
begin
  if exists (select from v1.message
               where tenant_id = p_tenant_id and queue = 'events' and died_at is null
               offset p_most - jsonb_array_length(p_events) limit 1) then
    return null;
  end if;
  perform set_config('skein.broker', p_broker, true);
  v_taken := v1.claim_keys(p_tenant_id, 'event', p_at, (
    select jsonb_agg(jsonb_build_object('id', x.id, 'k', x.ik))
      from jsonb_to_recordset(p_events) as x(id uuid, ik text) where x.ik is not null));
  -- A new statement: it sees what the shard has stored of this very call, should that be done by now.
  select coalesce(jsonb_object_agg(x.id, jsonb_build_object('id', first.id, 'runs', e.runs)), '{}') into v_known
    from jsonb_to_recordset(p_events) as x(id uuid)
    cross join lateral (select coalesce((v_taken->>x.id::text)::uuid, x.id) as id) first
    left join v1.event e on e.id = first.id and e.tenant_id = p_tenant_id
    where first.id <> x.id or e.id is not null;
  perform v1.send_messages(p_tenant_id, 'events', 'event', (
    select coalesce(jsonb_agg(jsonb_build_object('id', x.value->'id', 'body', x.value - 'id')), '[]')
      from jsonb_array_elements(p_events) x where not v_known ? (x.value->>'id')));
  return jsonb_build_object('known', v_known, 'sent', coalesce(v1.sent_messages(), '[]'));
end $$;
