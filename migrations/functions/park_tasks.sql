-- Parks tasks: what a shard has no room for goes back to the queue, into its lane. The handout that still
-- names one is out of date, and harmless: the queue has a task once, and so has the shard.
--
-- Called by  commit, under the locks of the runs.
-- Ignores    a task that is not ready, or whose next attempt is another.
create or replace function v1.park_tasks(p_tenant_id uuid, p_shard smallint, p_parks jsonb)
returns void language sql as $$
  insert into v1.queue_item (tenant_id, shard, action, lane, task_id, expires_at)
    select p_tenant_id, p_shard, d.action, x.l, t.id, t.queued_at + d.schedule_timeout_ms * interval '1 millisecond'
      from jsonb_to_recordset(p_parks) as x(t uuid, r uuid, a integer, l bigint)
      join v1.workflow_run r on r.id = x.r and r.tenant_id is not distinct from p_tenant_id
      join v1.task t on t.id = x.t and v1.run_id(x.t) = x.r and t.state = 'queued' and t.attempt = x.a - 1
      join v1.dag d on d.version_id = r.version_id and d.step = t.step
    on conflict (task_id) do nothing
$$;
