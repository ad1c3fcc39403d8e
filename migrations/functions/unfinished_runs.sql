-- The runs of a tenant that have not finished, found by what will move them: a ready task is in the queue
-- or in a handout, what waits for an event has a match, everything else has a timer. So it reads what there is to
-- do, never what has been done.
--
-- Called by  the edge Worker, for a cancellation by filter. A few of them may have finished meanwhile.
create or replace function v1.unfinished_runs(p_tenant_id uuid)
returns setof uuid language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select v1.run_id(q.task_id) from v1.queue_item q where q.tenant_id = p_tenant_id
  union
  select v1.run_id(u.id) from v1.handout h cross join unnest(h.tasks) u(id) where h.tenant_id = p_tenant_id
  union
  select v1.run_id(t.id) from v1.timer t where t.tenant_id = p_tenant_id and t.kind <> 'match'
  union
  -- One that waits for an event for ever has no timer.
  select m.run_id from v1.match m where m.tenant_id = p_tenant_id
$$;
