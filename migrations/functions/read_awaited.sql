-- Events that cancel runs or that tasks wait for, by any version, with the paths by which those are found.
--
-- Called by  read_definitions.
-- Returns    [{event, path, isLookedBackAt: a wait may look back for it; else absent}]
create or replace function v1.read_awaited(p_tenant_id uuid)
returns jsonb language sql stable as $$
  with awaited as (
    select c.event, c."eventPath" as path, false as is_looked_back_at
      from v1.workflow w
      join v1.workflow_version v on v.workflow_id = w.id and v.cancel_on is not null
      cross join jsonb_to_recordset(v.cancel_on) as c(event text, "eventPath" text[])
      where w.tenant_id = p_tenant_id
    union all
    select c.event, c."eventPath", c."withinMs" is not null
      from v1.workflow w
      join v1.workflow_version v on v.workflow_id = w.id
      join v1.dag d on d.version_id = v.id and d.gate is not null
      cross join jsonb_to_recordset(d.gate->'wait'->'conditions')
        as c(event text, "eventPath" text[], "withinMs" double precision)
      where w.tenant_id = p_tenant_id and c.event is not null
  )
  select coalesce(jsonb_agg(jsonb_build_object('event', a.event, 'path', a.path)
           || case when a.looks then '{"isLookedBackAt": true}' else '{}'::jsonb end), '[]')
    from (select event, path, bool_or(is_looked_back_at) as looks from awaited group by event, path) a
$$;
