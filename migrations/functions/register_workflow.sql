-- Stores a workflow's definition as a new version, made active, unless the active version is the same.
-- A definition that equals an older version makes that one active again.
--
-- Called by  the edge Worker, which has checked the DAG. Ten thousand repeats write nothing.
-- Locks      the definitions (exclusive), so that no commit matched against the old ones lands after.
-- p          {tenant, workflow: new id, version: new id, name, checksum, definition, timeout: of a run,
--             cancelOn: [{number: from 1, event, if, eventPath, runPath: whose values must be equal}],
--             dag: [{step, name, action, kind, parents, children, descendants, timeout,
--                    schedule: how long it may be queued, compensates: the step it undoes, retry, dispatch,
--                    gate}],
--             dispatch, limits: [names of stored limits that it uses], filters: [DeclaredFilterRow]}
-- Returns    as read_active_version, with created; or {unknownLimits: [names]}, and nothing is stored
create or replace function v1.register_workflow(p jsonb)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_tenant uuid := (p->>'tenant')::uuid;
  v_active jsonb;
  v_workflow uuid;
  v_version uuid;
  v_created boolean := false;
  v_unknown jsonb;
begin
  v_active := v1.read_active_version(v_tenant, p->>'name');
  if v_active->'version'->>'checksum' = p->>'checksum' then
    return v_active || '{"created": false}';
  end if;

  perform pg_advisory_xact_lock(v1.definitions_lock(v_tenant));
  select jsonb_agg(u.name) into v_unknown
    from jsonb_array_elements_text(p->'limits') u(name)
    where not exists (select from v1."limit" l where l.tenant_id = v_tenant and l.name = u.name);
  if v_unknown is not null then
    return jsonb_build_object('unknownLimits', v_unknown);
  end if;
  insert into v1.workflow (id, tenant_id, name) values ((p->>'workflow')::uuid, v_tenant, p->>'name')
    on conflict (tenant_id, name) do nothing;
  -- Whoever held the lock before may have registered the same.
  select id into v_workflow from v1.workflow where tenant_id = v_tenant and name = p->>'name';
  select id into v_version from v1.workflow_version
    where workflow_id = v_workflow and checksum = p->>'checksum';
  if v_version is null then
    v_version := (p->>'version')::uuid;
    v_created := true;
    insert into v1.workflow_version (id, workflow_id, number, checksum, definition, timeout_ms, cancel_on,
                                     dispatch, limits, filters)
      select v_version, v_workflow, coalesce(max(number), 0) + 1, p->>'checksum', p->'definition',
             (p->>'timeout')::bigint, p->'cancelOn', p->'dispatch',
             array(select jsonb_array_elements_text(p->'limits')), p->'filters'
        from v1.workflow_version where workflow_id = v_workflow;
    insert into v1.dag (version_id, step, name, action, kind, parents, children, descendants, timeout_ms,
                        schedule_timeout_ms, compensates, retry, dispatch, gate)
      select v_version, x.step, x.name, x.action, coalesce(x.kind, 'step'), x.parents, x.children, x.descendants,
             x.timeout, x.schedule, x.compensates, x.retry, x.dispatch, x.gate
        from jsonb_to_recordset(p->'dag') as x(step smallint, name text, action text, kind v1.step_kind,
               parents smallint[], children smallint[], descendants smallint[], timeout integer,
               schedule bigint, compensates smallint, retry jsonb, dispatch jsonb, gate jsonb);
  end if;
  update v1.workflow set active_version_id = v_version
    where id = v_workflow and active_version_id is distinct from v_version;
  if found then
    update v1.tenant set definitions_version = definitions_version + 1 where id = v_tenant;
    perform v1.declare_schedules(v_tenant, v_workflow, v_version);
  end if;
  return v1.read_active_version(v_tenant, p->>'name') || jsonb_build_object('created', v_created);
end $$;
