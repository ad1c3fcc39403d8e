-- Whether anybody may still read, or wait for, something of a month of history.
--
-- Called by  drop_history, under its lock, of months that are over. Tenants' periods come first: one look at an
--            index each. Only when all of them have passed are the month's runs gone through.
-- p_from, p_to  the smallest ids of the month and of the one after it
create or replace function v1.is_month_needed(p_from uuid, p_to uuid)
returns boolean language sql stable as $$
  select exists (
    select from v1.tenant t
      where (t.retention_days is null
             or p_to > v1.first_id_at(now() - t.retention_days * interval '1 day')
             or t.retention_changed_at > now() - interval '7 days')
        and (exists (select from v1.workflow_run r where r.tenant_id = t.id and r.id >= p_from and r.id < p_to)
             or exists (select from v1.event e where e.tenant_id = t.id and e.id >= p_from and e.id < p_to)))
  -- A run has its period from its end, which may be long after its beginning; before its end it has no period.
  or exists (
    select from v1.workflow_run r join v1.tenant t on t.id = r.tenant_id
      where r.id >= p_from and r.id < p_to
        and (r.finished_at is null or r.finished_at > now() - t.retention_days * interval '1 day'))
  -- Runs and tasks that are to move, events that waits look at, and events that are not published yet.
  or exists (select from v1.timer where id >= p_from and id < p_to)
  or exists (select from v1.queue_item where task_id >= p_from and task_id < p_to)
  or exists (select from v1.message where id >= p_from and id < p_to and died_at is null)
  -- Children whose parents go on: a handler that is run again is told their results.
  or exists (
    select from v1.tenant t cross join lateral v1.unfinished_runs(t.id) as u(id)
      join v1.child_run c on c.parent_id >= u.id and c.parent_id <= (left(u.id::text, 32) || 'ffff')::uuid
      where u.id < p_to and c.run_id >= p_from and c.run_id < p_to)
$$;
