-- Changes a schedule, if it is still as it was when the change was worked out.
--
-- Called by  the edge Worker. Of one that is declared it changes whether it is enabled, and so its times.
-- p_change   ScheduleChange in database/schedule-rows.ts: of what is not there nothing is changed; a null
--            takes the name or the priority away
-- Returns    null; or why it was not changed: `moved` (another revision, or no schedule: read it again),
--            `exists` (another of the workflow has the name)
create or replace function v1.change_schedule(
  p_tenant_id uuid, p_id uuid, p_revision bigint, p_change jsonb)
returns text language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if exists (select from v1.schedule s join v1.schedule o on o.workflow_id = s.workflow_id and o.id <> s.id
                                                           and o.name = p_change->>'n' and not o.is_declared
               where s.id = p_id and s.tenant_id = p_tenant_id and not s.is_declared) then
    return 'exists';
  end if;
  update v1.schedule s
    set name = case when p_change ? 'n' then p_change->>'n' else s.name end,
        cron = coalesce(p_change->>'c', s.cron),
        timezone = coalesce(p_change->>'z', s.timezone),
        at = coalesce(v1.moment((p_change->>'a')::double precision), s.at),
        input = coalesce(p_change->'i', s.input),
        metadata = coalesce(p_change->'m', s.metadata),
        priority = case when p_change ? 'pr' then (p_change->>'pr')::smallint else s.priority end,
        overlap = coalesce((p_change->>'o')::v1.overlap, s.overlap),
        catch_up = coalesce((p_change->>'cu')::v1.catch_up, s.catch_up),
        catch_up_limit = coalesce((p_change->>'cl')::smallint, s.catch_up_limit),
        jitter_ms = coalesce((p_change->>'j')::integer, s.jitter_ms),
        is_enabled = coalesce((p_change->>'e')::boolean, s.is_enabled),
        seen_until = case when p_change ? 'u' then v1.moment((p_change->>'u')::double precision) else s.seen_until end,
        next_tick = case when p_change ? 'u' then v1.moment((p_change->>'nt')::double precision) else s.next_tick end,
        due_at = case when p_change ? 'u' then v1.moment((p_change->>'d')::double precision) else s.due_at end,
        revision = s.revision + 1, updated_at = now()
    where s.id = p_id and s.tenant_id = p_tenant_id and s.revision = p_revision;
  return case when found then null else 'moved' end;
end $$;
