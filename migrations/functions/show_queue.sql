-- Makes what was put off of a tenant's visible in a queue of pgmq.
--
-- Called by  the queue's drain, when a tenant takes messages again that could take none. It has nothing in
--            hand then, so all that is hidden was put off.
create or replace function v1.show_queue(p_queue text, p_tenant_id uuid)
returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if p_queue not in ('commands', 'events') then
    raise exception 'nobody reads the queue %', p_queue using errcode = '22023';
  end if;
  execute format('update pgmq.%I set vt = clock_timestamp()
                    where vt > clock_timestamp() and message->>''tenant'' = $1', 'q_' || p_queue)
    using p_tenant_id::text;
end $$;
