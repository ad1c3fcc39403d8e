-- What events and calls can start, with the number that a commit is checked against.
--
-- Called by  the edge Worker, once an isolate and after a commit was refused as stale.
create or replace function v1.read_definitions(p_tenant_id uuid)
returns jsonb language sql stable as $$
  select jsonb_build_object('version', t.definitions_version, 'workflows', coalesce((
      select jsonb_agg(jsonb_build_object('id', w.id, 'name', w.name, 'version', w.active_version_id,
                                          'steps', jsonb_array_length(v.definition->'steps'),
                                          'events', coalesce(v.definition->'events', '[]')))
        from v1.workflow w join v1.workflow_version v on v.id = w.active_version_id
        where w.tenant_id = t.id), '[]'))
    from v1.tenant t where t.id = p_tenant_id
$$;
