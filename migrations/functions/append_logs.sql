-- Keeps lines that handlers logged. A line sent twice is kept once.
--
-- Called by  commit, under the locks of the runs, before what ends them; the shard has checked that the
--            attempt is the sender's.
-- Ignores    lines of a run that has finished: its history is closed.
create or replace function v1.append_logs(p_tenant_id uuid, p_logs jsonb)
returns void language sql as $$
  insert into v1.log_line (task_id, attempt, number, logged_at, level, message, fields)
    select x.t, x.a, x.n + l.position - 1, v1.moment((l.line->>'at')::double precision),
           l.line->>'level', l.line->>'message', l.line->'fields'
      from jsonb_to_recordset(p_logs) as x(t uuid, a integer, n integer, l jsonb)
      join v1.workflow_run r on r.id = v1.run_id(x.t) and r.tenant_id is not distinct from p_tenant_id
                             and r.state in ('queued', 'running')
      cross join jsonb_array_elements(x.l) with ordinality as l(line, position)
      on conflict do nothing
$$;
