-- Puts messages that were refused for good among the dead: nobody handles them until they are sent again.
--
-- Called by  whoever handles messages.
-- p_refused  [{id, tenant, reason}]
create or replace function v1.bury_messages(p_refused jsonb)
returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_ids uuid[] := array(select x.id from jsonb_to_recordset(p_refused) as x(id uuid) order by x.id);
begin
  perform from v1.message where id = any (v_ids) order by id for update;
  update v1.message m
    set died_at = clock_timestamp(), reason = x.reason, due_at = null,
        dead_id = (select s from pgmq.send('dead', jsonb_build_object('tenant', m.tenant_id, 'id', m.id)) s)
    from jsonb_to_recordset(p_refused) as x(id uuid, tenant uuid, reason jsonb)
    where m.id = any (v_ids) and m.id = x.id and m.tenant_id = x.tenant and m.died_at is null;
end $$;
