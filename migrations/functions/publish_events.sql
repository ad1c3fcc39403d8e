-- Stores events, each once by its id and its idempotency key.
--
-- Called by  commit, before the runs that the events start.
-- Returns    reply {events: {id: reason}} of those that were not stored now: `stale` (matched against
--            older definitions: match again), or {id, runs} of the event that had the key first, or the id:
--            one that was accepted as a message may have been stored by another commit, with other runs;
--            awaited: events stored now for which runs may wait; timed: events that may have been given
--            a timer, now or by an earlier sending.
drop function if exists v1.publish_events(uuid, timestamptz, bigint, jsonb);
create function v1.publish_events(
  p_tenant_id uuid, p_at timestamptz, p_definitions bigint, p_events jsonb,
  out reply jsonb, out awaited uuid[], out timed uuid[])
language plpgsql as $$
declare
  v_gone uuid[] := '{}';
  v_taken jsonb;
  v_refused jsonb := '{}';
  v_stored integer;
begin
  if p_events @? '$[*].q' then v_gone := v1.take_messages(p_tenant_id, p_definitions, p_events); end if;
  v_taken := v1.claim_keys(p_tenant_id, 'event', p_at, (
    select jsonb_agg(jsonb_build_object('id', x.id, 'k', x.ik))
      from jsonb_to_recordset(p_events) as x(id uuid, ik text, d bigint)
      where x.ik is not null and x.d = p_definitions and x.id <> all (v_gone)));

  with stored as (
    insert into v1.event (id, tenant_id, key, scope, payload, metadata, runs, replay_of, equalities)
      select x.id, p_tenant_id, x.k, x.s, coalesce(x.p, 'null'), coalesce(x.m, '{}'), x.r, x.ro,
             case when x.c is not null then array(
               select v1.equality_hash(c.p, jsonb_build_object('key', x.k, 'payload', x.p, 'metadata', x.m) #> c.p)
                 from jsonb_to_recordset(x.c) as c(p text[])) end
        from jsonb_to_recordset(p_events)
          as x(id uuid, k text, s text, p jsonb, m jsonb, r uuid[], ro uuid, d bigint, c jsonb)
        where x.d = p_definitions and not v_taken ? x.id::text and x.id <> all (v_gone)
        on conflict (id) do nothing
      returning id, equalities
  )
  select array_agg(id) filter (where equalities is not null), count(*) into awaited, v_stored from stored;
  if p_events @? '$[*].f' then
    insert into v1.filter_failure (event_id, filter_id, error)
      select x.id, f.f, f.e
        from jsonb_to_recordset(p_events) as x(id uuid, d bigint, f jsonb)
        cross join jsonb_to_recordset(x.f) as f(f uuid, e jsonb)
        where x.d = p_definitions and not v_taken ? x.id::text and x.id <> all (v_gone)
        on conflict do nothing;
  end if;
  if p_events @? '$[*].c' then
    timed := array(select x.id from jsonb_to_recordset(p_events) as x(id uuid, c jsonb) where x.c is not null);
  end if;

  if v_stored < jsonb_array_length(p_events) then
    -- A new statement: it sees an event of this batch, or of a commit a moment ago. One that has the runs it
    -- was to have was stored by this very request, before its answer was lost.
    select coalesce(jsonb_object_agg(x.id, jsonb_build_object('id', first.id, 'runs', e.runs)), '{}')
      into v_refused
      from jsonb_to_recordset(p_events) as x(id uuid, r uuid[], d bigint)
      cross join lateral (select coalesce((v_taken->>x.id::text)::uuid, x.id) as id) first
      left join v1.event e on e.id = first.id and e.tenant_id is not distinct from p_tenant_id
      where x.d = p_definitions and (first.id <> x.id or e.runs is distinct from x.r);
    select v_refused || coalesce(jsonb_object_agg(x.id, 'stale'), '{}') into v_refused
      from jsonb_to_recordset(p_events) as x(id uuid, d bigint)
      where x.d <> p_definitions
        and not exists (select from v1.event e where e.id = x.id and e.tenant_id = p_tenant_id);
  end if;
  reply := jsonb_build_object('events', v_refused);
end $$;
