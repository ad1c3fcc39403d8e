-- Whether a run can be replayed: it is the tenant's and has finished, and whatever is to be reused of
-- it was completed or skipped, by the same version.
--
-- Called by  start_runs. What has finished never changes, so the answer doesn't either.
create or replace function v1.is_replayable(p_tenant_id uuid, p_run_id uuid, p_version_id uuid, p_reused smallint[])
returns boolean language sql stable as $$
  select exists (
    select from v1.workflow_run r
      where r.id = p_run_id and r.tenant_id is not distinct from p_tenant_id
        and r.state in ('completed', 'failed', 'cancelled')
        and (coalesce(cardinality(p_reused), 0) = 0 or r.version_id = p_version_id)
        and not exists (
          select from unnest(p_reused) u(step)
            left join v1.task t on t.id = v1.task_id(p_run_id, u.step) and t.state in ('completed', 'skipped')
            where t.id is null))
$$;
