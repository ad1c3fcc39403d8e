-- Stores a workflow's definition as a new version, unless it equals one that is there. A new one becomes active;
-- one that was there doesn't: a worker that starts again must not undo what has been activated since.
--
-- Called by  the edge Worker, which has checked the DAG. Ten thousand repeats write nothing.
-- Locks      the definitions (exclusive), so that no commit matched against the old ones lands after.
-- p          {tenant, workflow: new id, version: new id, name, checksum, definition, timeout: of a run,
--             cancelOn: [{number: from 1, event, if, eventPath, runPath: whose values must be equal}],
--             dag: [{step, name, action, kind, parents, children, descendants, timeout,
--                    schedule: how long it may be queued, compensates: the step it undoes, retry, dispatch,
--                    gate}],
--             dispatch, limits: [names of stored limits that it uses], filters: [DeclaredFilterRow],
--             activate: new (when it is a new version), always or never (but a workflow's first version),
--             change: id of the change, actor}
-- Returns    as read_active_version, but of the version that the definition is, with active: the number of the
--            active one, and created; or {unknownLimits: [names]}, and nothing is stored
create or replace function v1.register_workflow(p jsonb)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_tenant uuid := (p->>'tenant')::uuid;
  v_workflow uuid;
  v_version uuid;
  v_created boolean := false;
  v_unknown jsonb;
  v_active uuid;
  v_is_activated boolean;
  v_previous uuid;
begin
  select w.id, w.active_version_id, v.id into v_workflow, v_active, v_version
    from v1.workflow w join v1.workflow_version v on v.workflow_id = w.id and v.checksum = p->>'checksum'
    where w.tenant_id = v_tenant and w.name = p->>'name';
  if v_version is not null and (v_version = v_active or p->>'activate' is distinct from 'always') then
    return v1.read_version(v_tenant, v_version) || '{"created": false}';
  end if;

  perform pg_advisory_xact_lock(v1.definitions_lock(v_tenant));
  v_unknown := v1.unknown_limits(v_tenant, array(select jsonb_array_elements_text(p->'limits')));
  if v_unknown is not null then
    return jsonb_build_object('unknownLimits', v_unknown);
  end if;
  insert into v1.workflow (id, tenant_id, name) values ((p->>'workflow')::uuid, v_tenant, p->>'name')
    on conflict (tenant_id, name) do nothing;
  -- Whoever held the lock before may have registered the same.
  select id, active_version_id into v_workflow, v_active
    from v1.workflow where tenant_id = v_tenant and name = p->>'name';
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
  v_is_activated := v_active is null or v_active <> v_version and (
    p->>'activate' = 'always' or v_created and p->>'activate' is distinct from 'never');
  if v_is_activated then v_previous := v1.set_active_version(v_tenant, v_workflow, v_version); end if;
  if v_created or v_is_activated then
    insert into v1.workflow_change (id, workflow_id, kind, version_id, previous_version_id, is_active, actor)
      values (coalesce((p->>'change')::uuid, v1.new_run_id(now())), v_workflow,
              case when v_created then 'registered'::v1.workflow_change_kind else 'activated' end,
              v_version, v_previous, v_is_activated, p->>'actor');
  end if;
  return v1.read_version(v_tenant, v_version) || jsonb_build_object('created', v_created);
end $$;
