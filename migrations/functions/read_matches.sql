-- The runs and tasks of a shard that events may concern, a page for each event: those that wait for its key
-- and one of its equalities, and for which it does not come too early. Whether the condition is met is the
-- shard's to say.
--
-- Called by  commit, when a `match` timer is due.
-- p_asked    [{e: event, r: run, n: number: where the page before ended, l: rows at most, b: bytes}]. The
--            row that goes beyond the bytes is the last.
-- Returns    [{e, k: key, p: payload, m: metadata, more, runs: [{r: run, n: number, c: condition,
--            i: input, m: metadata, p: of a task that waits, its parents' outputs}]}], in order of run and number; nothing of an event that is not there.
create or replace function v1.read_matches(p_tenant_id uuid, p_shard smallint, p_asked jsonb)
returns jsonb language plpgsql as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
             'e', e.id, 'k', e.key, 'p', e.payload, 'm', e.metadata, 'runs', coalesce(page.runs, '[]'),
             'more', coalesce(page.found >= x.l or page.found > jsonb_array_length(page.runs), false))), '[]')
      from jsonb_to_recordset(p_asked) as x(e uuid, r uuid, n smallint, l integer, b bigint)
      cross join lateral ( -- looked up, not joined: that would go through all events
        select e.* from v1.event e where e.id = x.e and e.tenant_id is not distinct from p_tenant_id offset 0
      ) e
      cross join lateral (
        select count(*) as found,
               jsonb_agg(jsonb_build_object('r', f.run_id, 'n', f.number, 'c', f.condition, 'i', f.input,
                                            'm', f.metadata)
                         || case when f.kind = 'wait' then jsonb_build_object('p', f.parents) else '{}' end order by f.run_id, f.number)
                 filter (where f.bytes_before < x.b) as runs
          from (
            select m.*, r.input, r.metadata, o.parents,
                   sum(pg_column_size(r.input) + pg_column_size(o.parents))
                     over (order by m.run_id, m.number rows unbounded preceding)
                     - pg_column_size(r.input) - pg_column_size(o.parents) as bytes_before
              from (
                select candidate.*
                  from unnest(e.equalities) q(equality)
                  cross join lateral (
                    select m.run_id, m.number, m.condition, m.kind from v1.match m
                      where m.tenant_id = p_tenant_id and m.event_key = e.key and m.shard = p_shard
                        and m.equality = q.equality and e.id > coalesce(m.since, m.run_id)
                        and (m.run_id, m.number) > (coalesce(x.r, '00000000-0000-0000-0000-000000000000'),
                                                    coalesce(x.n, 0::smallint))
                      order by m.run_id, m.number limit x.l
                  ) candidate
                  order by candidate.run_id, candidate.number limit x.l
              ) m
              join v1.workflow_run r on r.id = m.run_id
              cross join lateral (
                select case when m.kind = 'wait' and m.condition like '%parents%'
                            then v1.parent_outputs(m.run_id, r.version_id, m.number / 16 - 1) else '{}' end as parents
              ) o
          ) f
      ) page);
end $$;
