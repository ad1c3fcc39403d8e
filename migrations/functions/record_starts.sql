-- Writes down which worker has an attempt, and since when. Only for attempts that run long: short
-- ones are written once, when they end.
--
-- Called by  commit, under the locks of the runs.
-- Ignores    an attempt that has ended meanwhile.
create or replace function v1.record_starts(p_tenant_id uuid, p_started jsonb)
returns void language plpgsql
as $$
begin
  with started as (
    update v1.task t
      set state = 'running', worker = x.w, started_at = v1.moment(x.b)
      from jsonb_to_recordset(p_started) as x(t uuid, r uuid, a integer, w text, b double precision)
      join v1.workflow_run r on r.id = x.r and r.tenant_id is not distinct from p_tenant_id
      where t.id = x.t and v1.run_id(x.t) = x.r and t.state = 'queued' and t.attempt = x.a - 1
      returning x.r as run_id, x.b
  )
  update v1.workflow_run r
    set state = 'running', started_at = coalesce(r.started_at, v1.moment(s.began))
    from (select run_id, min(b) as began from started group by run_id) s
    where r.id = s.run_id and r.state = 'queued';
end $$;
