-- Reads ids from a queue of pgmq: those that are visible, oldest first, which then are not for so many
-- seconds.
--
-- Called by  the queue's drain, its only reader.
-- p_is_first it is the drain's first look in this life: what an earlier life had in hand is visible at once,
--            but not what that one had put off.
-- Returns    {read: [{n: number in the queue, tenant, id, reads}], next: milliseconds until another one can
--            be read: 0 when there may be more now, null when there is none}.
create or replace function v1.read_queue(
  p_queue text, p_hidden_seconds integer, p_most integer, p_is_first boolean default false)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_read jsonb;
  v_next timestamptz;
begin
  if p_queue not in ('commands', 'events') then
    raise exception 'nobody reads the queue %', p_queue using errcode = '22023';
  end if;
  if p_is_first then
    -- pgmq has hidden them from the moment of the read; whoever put one off did so a while after it.
    execute format('update pgmq.%I set vt = clock_timestamp()
                      where vt > clock_timestamp() and vt < last_read_at + $1 + interval ''1 millisecond''',
                   'q_' || p_queue) using make_interval(secs => p_hidden_seconds);
  end if;
  select coalesce(jsonb_agg(jsonb_build_object('n', r.msg_id, 'tenant', r.message->>'tenant',
                                               'id', r.message->>'id', 'reads', r.read_ct) order by r.msg_id), '[]')
    into v_read from pgmq.read(p_queue, p_hidden_seconds, p_most) r;
  if jsonb_array_length(v_read) = p_most then
    v_next := clock_timestamp();
  else
    execute format('select min(vt) from pgmq.%I', 'q_' || p_queue) into v_next;
  end if;
  return jsonb_build_object('read', v_read,
    'next', case when v_next is not null
                 then greatest(0, ceil(extract(epoch from v_next - clock_timestamp()) * 1000)) end);
end $$;
