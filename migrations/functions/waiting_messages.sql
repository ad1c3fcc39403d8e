-- Finds messages that wait for nobody: queues of pgmq with something visible, whose drain may have missed its
-- nudge, and messages that a broker outside of Postgres has not brought in time. The latter are left with the
-- broker once more, or with pgmq, should that be the broker by now; and again in ten minutes.
--
-- Called by  the edge Worker's clock, once a minute.
-- p_broker   which carries messages now.
-- Returns    as sent_messages; at most 1,000 ids.
create or replace function v1.waiting_messages(p_broker text)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_overdue uuid[] := array(select id from v1.message where due_at <= clock_timestamp()
                              order by due_at limit 1000 for update skip locked);
begin
  perform set_config('skein.broker', p_broker, true);
  if cardinality(v_overdue) > 0 then
    update v1.message set due_at = null where id = any (v_overdue);
    perform v1.hand_to_broker(m.tenant_id, m.queue, m.ids, '10 minutes')
      from (select tenant_id, queue, array_agg(id order by id) as ids
              from v1.message where id = any (v_overdue) group by tenant_id, queue) m;
  end if;
  return case when exists (select from pgmq.q_commands where vt <= clock_timestamp())
              then '[{"queue": "commands"}]'::jsonb else '[]' end
      || case when exists (select from pgmq.q_events where vt <= clock_timestamp())
              then '[{"queue": "events"}]'::jsonb else '[]' end
      || coalesce(v1.sent_messages(), '[]');
end $$;
