-- Promotions of which too many runs have failed in their window, by what the shards have counted.
--
-- Called by  count_ended, fail_promotion.
-- Returns    of each the workflow, the version, and what ended in the window.
create or replace function v1.failing_promotions(p_workflows uuid[], p_at timestamptz)
returns table (workflow_id uuid, version_id uuid, ended bigint, failed bigint) language sql stable as $$
  select p.workflow_id, p.version_id, c.ended, c.failed
    from v1.promotion p
    cross join lateral (
      select sum(c.ended) as ended, sum(c.failed) as failed from v1.promotion_count c
        where c.version_id = p.version_id
          and c.slice > v1.slice_of(p_at, p.rollback_when) - v1.slices_of_window()) c
    where p.workflow_id = any (p_workflows) and p.rollback_when is not null
      and c.ended >= (p.rollback_when->>'minimumRuns')::integer
      and c.failed >= (p.rollback_when->>'failureRate')::double precision * c.ended
$$;
