-- Keeps the export of a run for inspection, once. Nothing of it becomes history.
--
-- Called by  the edge Worker, which has checked the document.
-- Locks      the tenant's row: imports are counted.
-- p_import   {id, checksum, run, workflow, version, state}
-- p_most     {imports, bytes}: how many there may be, and their bytes together
-- Returns    {id, imported_at, created}; null: there are as many as there may be
create or replace function v1.put_import(p_tenant_id uuid, p_import jsonb, p_document text, p_most jsonb)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_known v1.imported_run;
  v_count bigint;
  v_bytes bigint;
begin
  perform from v1.tenant where id = p_tenant_id for no key update;
  select * into v_known from v1.imported_run
    where tenant_id = p_tenant_id and checksum = p_import ->> 'checksum';
  if v_known.id is not null then
    return jsonb_build_object('id', v_known.id, 'imported_at', v_known.imported_at, 'created', false);
  end if;
  select count(*), coalesce(sum(bytes), 0) into v_count, v_bytes from v1.imported_run where tenant_id = p_tenant_id;
  if v_count >= (p_most ->> 'imports')::bigint
     or v_bytes + octet_length(p_document) > (p_most ->> 'bytes')::bigint then
    return null;
  end if;
  insert into v1.imported_run (id, tenant_id, checksum, run_id, workflow, version, state, bytes, document)
    select x.id, p_tenant_id, x.checksum, x.run, x.workflow, x.version, x.state, octet_length(p_document), p_document
      from jsonb_to_record(p_import)
        as x(id uuid, checksum text, run uuid, workflow text, version integer, state v1.run_state)
    returning * into v_known;
  return jsonb_build_object('id', v_known.id, 'imported_at', v_known.imported_at, 'created', true);
end $$;
