-- The limit by whose key runs of a version are placed on shards: the first of its run's that bounds something.
--
-- Called by  read_definitions.
-- Returns    PlacingRow in database/definition-rows.ts; null: they are placed by their ids
create or replace function v1.placing_limit(p_tenant_id uuid, p_dispatch jsonb)
returns jsonb language sql stable as $$
  select jsonb_strip_nulls(jsonb_build_object(
      'index', u.number - 1,
      'use', jsonb_build_object('limit', u.use->'limit', 'key', u.use->'key', 'fallbackKey', u.use->'fallbackKey'),
      'stored', case when l.name is not null then jsonb_build_object(
        'key', l.definition->'key', 'fallbackKey', l.definition->'fallbackKey') end))
    from jsonb_array_elements(p_dispatch->'limits') with ordinality as u(use, number)
    left join v1."limit" l on l.tenant_id = p_tenant_id and l.name = u.use->>'limit'
    where u.use ?| array['limit', 'concurrency', 'rate']
    order by u.number limit 1
$$;
