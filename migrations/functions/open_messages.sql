-- Opens messages whose ids a broker has brought, and notes how often it has.
--
-- Called by  whoever handles messages.
-- p_brought  [{id, tenant, reads}], in the order in which they are to be handled.
-- p_bytes    how much may be opened; one message always may.
-- Returns    {opened: [{id, tenant, queue, kind, body, reads, sentAt}], left: [id] of those that did not fit}.
--            What is in neither has been handled, or is dead.
create or replace function v1.open_messages(p_brought jsonb, p_bytes bigint)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_ids uuid[] := array(select x.id from jsonb_to_recordset(p_brought) as x(id uuid));
  v_opened jsonb;
  v_left uuid[];
begin
  with brought as (
    select x.id, x.tenant, max(x.reads) as reads, min(x.place) as place
      from rows from (jsonb_to_recordset(p_brought) as (id uuid, tenant uuid, reads integer))
        with ordinality as x(id, tenant, reads, place)
      group by x.id, x.tenant
  ), found as (
    select m.id, b.reads, b.place, sum(m.bytes) over (order by b.place) - m.bytes as bytes_before
      from v1.message m join brought b on b.id = m.id and b.tenant = m.tenant_id
      where m.id = any (v_ids) and m.died_at is null
  ), opened as (
    update v1.message m
      set reads = f.reads,
          due_at = case when m.due_at is not null then clock_timestamp() + interval '10 minutes' end
      from found f
      where m.id = any (v_ids) and m.id = f.id and m.died_at is null
        and (f.bytes_before < p_bytes)
      returning f.place, m.*
  )
  select (select jsonb_agg(jsonb_build_object(
            'id', o.id, 'tenant', o.tenant_id, 'queue', o.queue, 'kind', o.kind, 'body', o.body, 'reads', o.reads,
            'sentAt', o.sent_at) order by o.place) from opened o),
         (select array_agg(f.id order by f.place) from found f where f.bytes_before >= p_bytes)
    into v_opened, v_left;
  return jsonb_build_object('opened', coalesce(v_opened, '[]'), 'left', coalesce(v_left, '{}'));
end $$;
