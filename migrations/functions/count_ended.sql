-- Counts the runs of promoted versions that a commit has ended, where a promotion may end by that. A commit that
-- is sent again counts again: it is a rate, and only of a lost answer. Cancelled runs say nothing of a version.
--
-- Called by  commit, under the locks of the ended runs.
-- Returns    workflows of which too many runs have failed: [id]; null when there is none.
create or replace function v1.count_ended(p_tenant_id uuid, p_shard smallint, p_at timestamptz, p_ended uuid[])
returns jsonb language plpgsql as $$
declare
  v_workflows uuid[];
  v_failing jsonb;
begin
  with counted as (
    select p.workflow_id, p.version_id, v1.slice_of(p_at, p.rollback_when) as slice, count(*) as ended,
           count(*) filter (where r.state = 'failed') as failed
      from (select distinct id from unnest(p_ended) u(id)) u
      join v1.workflow_run r on r.id = u.id and r.tenant_id is not distinct from p_tenant_id
                                and r.state in ('completed', 'failed') and r.finished_at = p_at
      join v1.promotion p on p.version_id = r.version_id and p.workflow_id = r.workflow_id
                             and p.rollback_when is not null
      where v1.run_id(u.id) = u.id
      group by 1, 2, 3
  ), stored as (
    insert into v1.promotion_count (version_id, slice, shard, ended, failed)
      select version_id, slice, p_shard, ended, failed from counted
      on conflict (version_id, slice, shard) do update
        set ended = promotion_count.ended + excluded.ended, failed = promotion_count.failed + excluded.failed
  ), left_behind as (
    delete from v1.promotion_count c using counted n
      where c.version_id = n.version_id and c.shard = p_shard and c.slice <= n.slice - v1.slices_of_window()
  )
  select array_agg(workflow_id) filter (where failed > 0) into v_workflows from counted;
  if v_workflows is null then return null; end if;
  select jsonb_agg(f.workflow_id) into v_failing from v1.failing_promotions(v_workflows, p_at) f;
  return v_failing;
end $$;
