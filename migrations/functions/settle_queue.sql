-- Settles what was read from a queue of pgmq: what is done goes, the rest is visible again in a while.
--
-- Called by  the queue's drain.
-- p_done     numbers in the queue.
-- p_later    [{n: number, ms}]
create or replace function v1.settle_queue(p_queue text, p_done bigint[], p_later jsonb)
returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform pgmq.delete(p_queue, p_done);
  perform pgmq.set_vt(p_queue, l.numbers, clock_timestamp() + l.ms * interval '1 millisecond')
    from (select x.ms, array_agg(x.n) as numbers
            from jsonb_to_recordset(p_later) as x(n bigint, ms double precision) group by x.ms) l;
end $$;
