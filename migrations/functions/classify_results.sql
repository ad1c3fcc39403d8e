-- Says what became of attempts whose results were not used: `recorded` (ended by this very attempt:
-- a repeat), `stale` (a newer attempt owns the task, or it ended otherwise), `gone` (no such task).
--
-- Called by  complete_tasks, and commit for results that come without a lease.
-- Returns    {task: class}
create or replace function v1.classify_results(p_asked jsonb)
returns jsonb language sql
as $$
  select coalesce(jsonb_object_agg(x.t, case
      when t.id is null then 'gone'
      when t.attempt = x.a and t.state in ('completed', 'failed') then 'recorded'
      else 'stale' end), '{}')
    from jsonb_to_recordset(coalesce(p_asked, '[]')) as x(t uuid, a integer)
    left join v1.task t on t.id = x.t
$$;
