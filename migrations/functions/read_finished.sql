-- What is told of runs that have ended. Of a child also whose it is and what came of it, because its
-- parent waits for that: outputs of its steps while they are not too large to be pushed, else null.
--
-- Called by  commit and spawn_runs.
-- Returns    [{run, state, and of a child parent, key, outputs, error}]: FinishedRow in database/rows.ts
create or replace function v1.read_finished(p_tenant_id uuid, p_runs uuid[])
returns jsonb language plpgsql as $$
declare
  -- MAX_PUSHED_BYTES of protocol/limits.ts, and what all of one reply may add to a shard's memory.
  c_child_bytes constant bigint := 1024 * 1024;
  c_reply_bytes constant bigint := 16 * 1024 * 1024;
begin
  return (
    with finished as (
      select r.*, o.bytes,
             sum(o.bytes) filter (where o.bytes <= c_child_bytes)
               over (order by r.id rows unbounded preceding) as bytes_so_far
        from (select distinct id from unnest(p_runs) u(id)) u
        join v1.workflow_run r on r.id = u.id and r.tenant_id is not distinct from p_tenant_id
                                  and r.state in ('completed', 'failed', 'cancelled')
        left join lateral (
          select sum(octet_length(o.output::text)) as bytes
            from v1.dag d join v1.task_output o on o.task_id = v1.task_id(r.id, d.step)
            where r.parent_id is not null and d.version_id = r.version_id and d.kind = 'step'
        ) o on true
        where v1.run_id(u.id) = u.id
    )
    select coalesce(jsonb_agg(jsonb_build_object('run', f.id, 'state', f.state)
        || case when f.parent_id is null then '{}' else jsonb_build_object(
             'parent', f.parent_id, 'key', f.parent_key,
             'outputs', case when coalesce(f.bytes, 0) <= c_child_bytes
                              and coalesce(f.bytes_so_far, 0) <= c_reply_bytes then (
               select coalesce(jsonb_object_agg(d.name, o.output), '{}')
                 from v1.dag d join v1.task_output o on o.task_id = v1.task_id(f.id, d.step)
                 where d.version_id = f.version_id and d.kind = 'step') end,
             'error', coalesce((
               select t.error || jsonb_build_object('step', d.name)
                 from v1.dag d join v1.task t on t.id = v1.task_id(f.id, d.step) and t.state = 'failed'
                 where d.version_id = f.version_id and d.kind = 'step'
                 order by d.step limit 1), f.error || '{"step": null}')) end order by f.id), '[]')
      from finished f);
end $$;
