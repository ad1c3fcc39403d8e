-- Moves queued tasks of runs to lane 0, so that the shard sorts them anew: their lanes were for what their
-- runs hold by now, and whoever stands before them there may wait for those very runs to end.
--
-- Called by  commit, under the runs' locks.
-- p_runs     [{r: run}]
-- Returns    the actions of tasks that wait in lane 0.
create or replace function v1.unline_tasks(p_tenant_id uuid, p_shard smallint, p_runs jsonb)
returns text[] language plpgsql as $$
declare
  v_actions text[];
begin
  -- Also those that are there already: an earlier sending of the same commit may have moved them.
  with moved as (
    update v1.queue_item q set lane = 0
      from jsonb_to_recordset(p_runs) as x(r uuid)
      where q.task_id between x.r and v1.task_id(x.r, 65534)
        and q.tenant_id = p_tenant_id and q.shard = p_shard
      returning q.action
  )
  select array_agg(distinct action) into v_actions from moved;
  return v_actions;
end $$;
