-- Says what became of attempts whose results were not used: `recorded` (this very attempt was ended by
-- a result, and perhaps tried again: a repeat), `stale` (it was lost, cancelled or out of time, or is not
-- the task's), `gone` (no such task).
--
-- Called by  complete_tasks, and commit for results that come without a lease.
-- Returns    {task: class}
drop function if exists v1.classify_results(jsonb);
create or replace function v1.classify_results(p_tenant_id uuid, p_asked jsonb)
returns jsonb language sql
as $$
  select coalesce(jsonb_object_agg(x.t, case
      when t.id is null then 'gone'
      when t.attempt = x.a and t.state in ('completed', 'failed')
        and coalesce(t.error->>'code', '')
            not in ('worker_lost', 'not_received', 'execution_timeout', 'schedule_timeout', 'invalid_key', 'condition_failed',
                    'wait_timeout') then 'recorded'
      when h.outcome in ('completed', 'failed', 'put_back') then 'recorded'
      else 'stale' end), '{}')
    from jsonb_to_recordset(coalesce(p_asked, '[]')) as x(t uuid, a integer)
    left join lateral (
      select t.id, t.attempt, t.state, t.error from v1.task t
        where t.id = x.t and exists (
          select from v1.workflow_run r where r.id = v1.run_id(x.t) and r.tenant_id is not distinct from p_tenant_id)
        offset 0
    ) t on true
    left join v1.task_attempt h on h.task_id = t.id and h.attempt = x.a
$$;
