-- The stored filter of a workflow that is the same as this; null when there is none.
create or replace function v1.find_filter(
  p_tenant_id uuid, p_workflow text, p_scope text, p_expression text, p_payload jsonb)
returns uuid language sql stable as $$
  select f.id from v1.workflow w
    join v1.filter f on f.workflow_id = w.id and coalesce(f.scope, '') = coalesce(p_scope, '')
     and md5(f.expression) = md5(p_expression) and md5(f.payload::text) = md5(p_payload::text)
    where w.tenant_id = p_tenant_id and w.name = p_workflow
$$;
