-- Releases runs that were held or delayed: their first tasks are ready, and their timeout begins to count.
-- One whose delay ends while its workflow is paused is held until that is resumed.
--
-- Called by  commit, under the locks of the definitions (shared) and of the runs, when a `release` timer is due.
-- Ignores    a run without that timer: it was released before, or has ended.
-- Returns    ready: ids of ready tasks; timed: runs that may have been given a timer, now or by an
--            earlier sending.
create or replace function v1.release_runs(
  p_tenant_id uuid, p_at timestamptz, p_releases jsonb, out ready uuid[], out timed uuid[])
language plpgsql as $$
declare
  v_held uuid[];
  v_released uuid[];
begin
  timed := array(select x.r from jsonb_to_recordset(p_releases) as x(r uuid));
  v_held := array(
    select r.id from unnest(timed) u(id)
      join v1.workflow_run r on r.id = u.id and r.starts_at is not null
      where v1.run_id(u.id) = u.id
        and (select w.pause_mode from v1.workflow w where w.id = r.workflow_id) is not null);
  if cardinality(v_held) > 0 then
    update v1.timer set due_at = 'infinity'
      where id = any (v_held) and kind = 'release' and tenant_id is not distinct from p_tenant_id;
  end if;
  with taken as (
    delete from v1.timer
      where id = any (timed) and id <> all (v_held) and kind = 'release' and tenant_id is not distinct from p_tenant_id
      returning id
  )
  select array_agg(r.id) into v_released
    from taken join v1.workflow_run r on r.id = taken.id and r.state = 'queued'
    where v1.run_id(taken.id) = taken.id;

  with released as (
    update v1.task t set state = 'queued', pending = 0, queued_at = p_at
      from unnest(v_released) u(id)
      join v1.workflow_run r on r.id = u.id
      join v1.dag d on d.version_id = r.version_id and d.kind = 'step'
                       and d.parents <@ coalesce(r.reused, '{}')
      where v1.run_id(u.id) = u.id and t.id = v1.task_id(r.id, d.step) and t.state = 'waiting'
      returning t.id
  )
  select array_agg(id) into ready from released;
  insert into v1.timer (tenant_id, shard, id, kind, due_at)
    select p_tenant_id, r.shard, r.id, 'timeout', p_at + r.timeout_ms * interval '1 millisecond'
      from unnest(v_released) u(id)
      join v1.workflow_run r on r.id = u.id
      where v1.run_id(u.id) = u.id and r.timeout_ms is not null;
end $$;
