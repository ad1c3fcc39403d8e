-- Reads ids from a queue of pgmq: those that are visible, oldest first, which then are not for so many
-- seconds.
--
-- Called by  the queue's drain, its only reader.
-- Returns    {read: [{n: number in the queue, tenant, id, reads}], next: milliseconds until another one can
--            be read: 0 when there may be more now, null when there is none}.
create or replace function v1.read_queue(p_queue text, p_hidden_seconds integer, p_most integer)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_read jsonb;
  v_next timestamptz;
begin
  select coalesce(jsonb_agg(jsonb_build_object('n', r.msg_id, 'tenant', r.message->>'tenant',
                                               'id', r.message->>'id', 'reads', r.read_ct) order by r.msg_id), '[]')
    into v_read from pgmq.read(p_queue, p_hidden_seconds, p_most) r;
  if jsonb_array_length(v_read) = p_most then
    v_next := clock_timestamp();
  elsif p_queue = 'commands' then
    v_next := (select min(vt) from pgmq.q_commands);
  elsif p_queue = 'events' then
    v_next := (select min(vt) from pgmq.q_events);
  end if;
  return jsonb_build_object('read', v_read,
    'next', case when v_next is not null
                 then greatest(0, ceil(extract(epoch from v_next - clock_timestamp()) * 1000)) end);
end $$;
