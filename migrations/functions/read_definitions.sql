-- What events and calls can start, and which events can cancel or are waited for, also by runs of versions
-- that are no longer active; with the number that a commit is checked against.
--
-- Called by  the edge Worker, once an isolate and after a commit was refused as stale.
-- p_since    the number that the isolate knows: of stored filters only what has changed since is read. Null:
--            it knows nothing.
-- Returns    DefinitionsRow in database/definition-rows.ts
drop function if exists v1.read_definitions(uuid);
create or replace function v1.read_definitions(p_tenant_id uuid, p_since bigint default null)
returns jsonb language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('version', t.definitions_version, 'shards', t.shards, 'workflows', coalesce((
      select jsonb_agg(jsonb_build_object('id', w.id, 'name', w.name, 'version', w.active_version_id,
                                          'steps', jsonb_array_length(v.definition->'steps'),
                                          'events', coalesce(v.definition->'events', '[]'))
                       || jsonb_strip_nulls(jsonb_build_object('timeoutMs', v.timeout_ms, 'paused', w.pause_mode,
                                                              'cancelOn', nullif(v.cancel_on is not null, false),
                                                              'placing', v1.placing_limit(t.id, v.dispatch)))
                       || case when v.filters is null then '{}' else jsonb_build_object('filters', v.filters) end
                       || case when p.share is null then '{}' else jsonb_build_object('promoted', jsonb_strip_nulls(
                            jsonb_build_object('version', c.id, 'share', p.share, 'key', p.key_path,
                                               'steps', jsonb_array_length(c.definition->'steps'),
                                               'timeoutMs', c.timeout_ms,
                                               'cancelOn', nullif(c.cancel_on is not null, false),
                                               'placing', v1.placing_limit(t.id, c.dispatch)))) end)
        from v1.workflow w join v1.workflow_version v on v.id = w.active_version_id
        left join (v1.promotion p join v1.workflow_version c on c.id = p.version_id) on p.workflow_id = w.id
        where w.tenant_id = t.id), '[]'),
      'awaited', v1.read_awaited(t.id),
      'areAllFilters', since is null,
      'filters', coalesce((
        select jsonb_agg(jsonb_build_object('id', f.id, 'workflow', f.workflow_id, 'expression', f.expression,
                                            'payload', f.payload, 'equalities', f.equalities)
                         || case when f.scope is null then '{}' else jsonb_build_object('scope', f.scope) end
                         order by f.id)
          from v1.filter f where f.tenant_id = t.id and f.version > coalesce(since, -1)), '[]'),
      'deletedFilters', coalesce((
        select jsonb_agg(d.id) from v1.deleted_filter d where d.tenant_id = t.id and d.version > since), '[]'))
    from v1.tenant t cross join lateral (
      -- What was deleted before is forgotten: it would be taken to be there still.
      select case when p_since >= t.filters_forgotten then p_since end) as s(since)
    where t.id = p_tenant_id
$$;
