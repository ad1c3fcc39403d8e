-- Makes a workflow's declared schedules those of a version: its `crons`. One that stays under its name keeps
-- its id, whether it is enabled, and what has come of it; one whose times are the same keeps those as well.
--
-- Called by  set_active_version, under the lock of the definitions (exclusive). The
--            tenant's clock works out the ticks: to it a new one is due at once.
-- Locks      the tenant's row, then the schedules.
create or replace function v1.declare_schedules(p_tenant_id uuid, p_workflow_id uuid, p_version_id uuid)
returns void language plpgsql as $$
declare
  v_crons jsonb;
begin
  select coalesce(definition->'crons', '[]') into v_crons from v1.workflow_version where id = p_version_id;
  if v_crons = '[]' and not exists (
      select from v1.schedule where workflow_id = p_workflow_id and is_declared) then
    return;
  end if;
  perform 1 from v1.tenant where id = p_tenant_id for no key update;
  delete from v1.schedule s
    where s.workflow_id = p_workflow_id and s.is_declared
      and not exists (select from jsonb_to_recordset(v_crons) as x(name text, cron text, timezone text)
                        where coalesce(x.name, x.cron || ' ' || coalesce(x.timezone, 'UTC')) = s.name);
  insert into v1.schedule as s (id, tenant_id, workflow_id, name, cron, timezone, input, metadata, priority, overlap,
                                catch_up, catch_up_limit, jitter_ms, is_declared, seen_until, due_at)
    select v1.message_id(), p_tenant_id, p_workflow_id,
           coalesce(x.name, x.cron || ' ' || coalesce(x.timezone, 'UTC')), x.cron, coalesce(x.timezone, 'UTC'),
           coalesce(x.input, 'null'), coalesce(x.metadata, '{}'), x.priority, coalesce(x.overlap, 'allow'),
           coalesce(x."catchUp", 'last'), coalesce(x."catchUpLimit", 100), coalesce(x."jitterMs", 0), true, now(), now()
      from jsonb_to_recordset(v_crons) as x(name text, cron text, timezone text, input jsonb, metadata jsonb,
             priority smallint, overlap v1.overlap, "catchUp" v1.catch_up, "catchUpLimit" smallint, "jitterMs" integer)
    on conflict (workflow_id, name, is_declared) where name is not null do update
      set cron = excluded.cron, timezone = excluded.timezone, input = excluded.input, metadata = excluded.metadata,
          priority = excluded.priority, overlap = excluded.overlap, catch_up = excluded.catch_up,
          catch_up_limit = excluded.catch_up_limit, jitter_ms = excluded.jitter_ms,
          seen_until = case when (s.cron, s.timezone) = (excluded.cron, excluded.timezone)
                            then s.seen_until else excluded.seen_until end,
          next_tick = case when (s.cron, s.timezone) = (excluded.cron, excluded.timezone) then s.next_tick end,
          due_at = case when not s.is_enabled then null
                        when (s.cron, s.timezone) = (excluded.cron, excluded.timezone) then s.due_at
                        else excluded.due_at end,
          revision = s.revision + 1, updated_at = now()
      where (s.cron, s.timezone, s.input, s.metadata, s.priority, s.overlap, s.catch_up, s.catch_up_limit, s.jitter_ms)
            is distinct from
            (excluded.cron, excluded.timezone, excluded.input, excluded.metadata, excluded.priority, excluded.overlap,
             excluded.catch_up, excluded.catch_up_limit, excluded.jitter_ms);
end $$;
