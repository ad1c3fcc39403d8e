-- Stores filters of workflows; one that is there already stays as it is. In force at the next event: a
-- commit that was matched against what was before is refused as stale.
--
-- Called by  the edge Worker, which has checked the expressions.
-- Locks      the definitions (exclusive).
-- p_filters  [{id, w: workflow's name, s: scope, x: expression, p: payload, q: equalities}]
-- p_most     {filters, bytes}: of a tenant
-- Returns    {filters: [{id, created}]} in their order; or {unknownWorkflows: [names]} or
--            {tooMany: "filters" or "bytes"}, and nothing is stored.
create or replace function v1.put_filters(p_tenant_id uuid, p_filters jsonb, p_most jsonb)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_unknown jsonb;
  v_version bigint;
  v_new uuid[];
  v_bytes bigint;
  v_tenant v1.tenant;
begin
  perform pg_advisory_xact_lock(v1.definitions_lock(p_tenant_id));
  select jsonb_agg(distinct x.w) into v_unknown
    from jsonb_to_recordset(p_filters) as x(w text)
    where not exists (select from v1.workflow k where k.tenant_id = p_tenant_id and k.name = x.w);
  if v_unknown is not null then return jsonb_build_object('unknownWorkflows', v_unknown); end if;

  select array_agg(n.id), sum(v1.filter_bytes(n.x, n.p)) into v_new, v_bytes
    from (select distinct on (x.w, x.s, x.x, x.p) x.id, x.w, x.s, x.x, coalesce(x.p, 'null') as p
            from jsonb_to_recordset(p_filters) as x(id uuid, w text, s text, x text, p jsonb)
            order by x.w, x.s, x.x, x.p, x.id) n
    where v1.find_filter(p_tenant_id, n.w, n.s, n.x, n.p) is null;
  if v_new is not null then
    select * into v_tenant from v1.tenant where id = p_tenant_id;
    if v_tenant.filters + cardinality(v_new) > (p_most->>'filters')::integer then
      return '{"tooMany": "filters"}';
    elsif v_tenant.filter_bytes + v_bytes > (p_most->>'bytes')::bigint then
      return '{"tooMany": "bytes"}';
    end if;
    update v1.tenant
      set definitions_version = definitions_version + 1, filters = filters + cardinality(v_new),
          filter_bytes = filter_bytes + v_bytes
      where id = p_tenant_id returning definitions_version into v_version;
    insert into v1.filter (id, tenant_id, workflow_id, scope, expression, payload, equalities, version)
      select x.id, p_tenant_id, k.id, x.s, x.x, coalesce(x.p, 'null'), x.q, v_version
        from jsonb_to_recordset(p_filters) as x(id uuid, w text, s text, x text, p jsonb, q jsonb)
        join v1.workflow k on k.tenant_id = p_tenant_id and k.name = x.w
        where x.id = any (v_new);
  end if;
  return jsonb_build_object('filters', (
    select jsonb_agg(jsonb_build_object(
             'id', v1.find_filter(p_tenant_id, a->>'w', a->>'s', a->>'x', a->'p'),
             'created', coalesce((a->>'id')::uuid = any (v_new), false)) order by number)
      from jsonb_array_elements(p_filters) with ordinality as asked(a, number)));
end $$;
