-- Changes a stored filter; in force at the next event.
--
-- Called by  the edge Worker, which has checked the expression.
-- Locks      the definitions (exclusive).
-- p_filter   what changes: {s: scope, x: expression with q: its equalities, p: payload}
-- Returns    null: changed; else why not: `unknown`, `exists` (the workflow has another one like that) or
--            `bytes` (there is no room for it)
create or replace function v1.change_filter(p_tenant_id uuid, p_id uuid, p_filter jsonb, p_most_bytes bigint)
returns text language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_filter v1.filter;
  v_bytes bigint;
  v_version bigint;
begin
  perform pg_advisory_xact_lock(v1.definitions_lock(p_tenant_id));
  select * into v_filter from v1.filter where id = p_id and tenant_id = p_tenant_id;
  if not found then return 'unknown'; end if;
  v_bytes := v1.filter_bytes(coalesce(p_filter->>'x', v_filter.expression), coalesce(p_filter->'p', v_filter.payload))
    - v1.filter_bytes(v_filter.expression, v_filter.payload);
  if v_bytes > 0 and (select filter_bytes from v1.tenant where id = p_tenant_id) + v_bytes > p_most_bytes then
    return 'bytes';
  end if;
  update v1.tenant set definitions_version = definitions_version + 1, filter_bytes = filter_bytes + v_bytes
    where id = p_tenant_id returning definitions_version into v_version;
  update v1.filter
    set scope = case when p_filter ? 's' then p_filter->>'s' else scope end,
        expression = coalesce(p_filter->>'x', expression), equalities = coalesce(p_filter->'q', equalities),
        payload = coalesce(p_filter->'p', payload), version = v_version, updated_at = now()
    where id = p_id;
  return null;
exception when unique_violation then
  return 'exists';
end $$;
