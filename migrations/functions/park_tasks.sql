-- Parks tasks: what a shard has no room for leaves its handout and goes to a lane of the queue.
--
-- Called by  commit, under the locks of the runs; before the commit's own handout is written.
-- p_parks    [{t: task, r: run, a: its next attempt, l: lane}]
-- Ignores    a task that no earlier commit's handout has: an earlier sending of the same commit has parked
--            it, and it may have been taken from its lane since. And one that is not ready any more.
create or replace function v1.park_tasks(p_tenant_id uuid, p_shard smallint, p_seq bigint, p_parks jsonb)
returns void language plpgsql as $$
declare
  v_parked uuid[];
  v_seqs bigint[];
begin
  with ready as (
    select t.id
      from jsonb_to_recordset(p_parks) as x(t uuid, r uuid, a integer)
      join v1.workflow_run r on r.id = x.r and r.tenant_id is not distinct from p_tenant_id
      join v1.task t on t.id = x.t and t.state = 'queued' and t.attempt = x.a - 1
      where v1.run_id(x.t) = x.r
  )
  select array_agg(u.id), array_agg(distinct h.seq) into v_parked, v_seqs
    from v1.handout h cross join unnest(h.tasks) u(id)
    where h.tenant_id = p_tenant_id and h.shard = p_shard and h.seq < p_seq
      and (u.id in (select id from ready)) is true; -- `is true`: looked up in a hash, not joined
  if v_parked is null then return; end if;

  update v1.handout h
    set tasks = array(select u.id from unnest(h.tasks) u(id) where u.id not in (select unnest(v_parked)))
    where h.tenant_id = p_tenant_id and h.shard = p_shard and h.seq = any (v_seqs);
  insert into v1.queue_item (tenant_id, shard, action, lane, task_id, expires_at)
    select p_tenant_id, p_shard, d.action, x.l, t.id, t.queued_at + d.schedule_timeout_ms * interval '1 millisecond'
      from jsonb_to_recordset(p_parks) as x(t uuid, r uuid, l bigint)
      join v1.workflow_run r on r.id = x.r
      join v1.task t on t.id = x.t
      join v1.dag d on d.version_id = r.version_id and d.step = t.step
      where v1.run_id(x.t) = x.r and x.t = any (v_parked)
    on conflict (task_id) do nothing;
end $$;
