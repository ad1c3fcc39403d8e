-- Starts a run of `skein.notify` for each notification that is to be told of a run that has ended: in
-- the commit that ends it, so that none is lost, and once, by an idempotency key.
--
-- Called by  commit, under the locks of the ended runs. The definitions are not locked: whoever waits for a run
--            while it holds them would wait for ever. Whichever version is active delivers.
-- Returns    ready: ids of ready tasks
create or replace function v1.notify_ended(
  p_tenant_id uuid, p_shard smallint, p_at timestamptz, p_ended uuid[])
returns uuid[] language plpgsql as $$
declare
  v_starts jsonb;
  v_ready uuid[];
begin
  select jsonb_agg(jsonb_build_object(
           'id', v1.new_run_id(p_at), 'w', d.id, 'v', d.active_version_id, 'd', 0, 'n', 1,
           'k', 'skein.notify/' || n.name || '/' || r.id, 'm', jsonb_build_object('notification', n.name),
           'i', jsonb_build_object('notification', n.name, 'run', r.id)))
    into v_starts
    from (select distinct id from unnest(p_ended) u(id)) u
    join v1.workflow_run r on r.id = u.id and r.tenant_id is not distinct from p_tenant_id
    join v1.workflow w on w.id = r.workflow_id and w.name not like 'skein.%'
    join v1.notification n on n.tenant_id = p_tenant_id and n.gone_at is null and r.state = any (n.states)
                              and case when n.workflows is null then r.parent_id is null
                                       else w.name = any (n.workflows) end
    join v1.workflow d on d.tenant_id = p_tenant_id and d.name = 'skein.notify'
    where v1.run_id(u.id) = u.id;
  if v_starts is null then return '{}'; end if;
  select s.ready into v_ready from v1.start_runs(p_tenant_id, p_shard, p_at, 0, v_starts, null, true) s;
  return v_ready;
end $$;
