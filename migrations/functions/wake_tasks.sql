-- Wakes tasks whose backoff is over: they are ready again.
--
-- Called by  commit, under the locks of the runs, when a `retry` timer is due; the timer goes with it.
-- Ignores    a task that is not in backoff.
-- Returns    ids of ready tasks.
create or replace function v1.wake_tasks(p_tenant_id uuid, p_at timestamptz, p_wakes jsonb)
returns uuid[] language plpgsql as $$
declare
  v_ready uuid[];
begin
  delete from v1.timer
    where id = any (array(select x.t from jsonb_to_recordset(p_wakes) as x(t uuid))) and kind = 'retry'
      and tenant_id is not distinct from p_tenant_id;
  with woken as (
    update v1.task t set state = 'queued', queued_at = p_at
      from jsonb_to_recordset(p_wakes) as x(t uuid, r uuid)
      join v1.workflow_run r on r.id = x.r and r.tenant_id is not distinct from p_tenant_id
      where t.id = x.t and v1.run_id(x.t) = x.r and t.state = 'backoff'
      returning t.id
  )
  select coalesce(array_agg(id), '{}') into v_ready from woken;
  return v_ready;
end $$;
