-- Ends a promotion of which too many runs have failed, if that is still so. Its runs go on; new ones are bound to
-- the active version.
--
-- Called by  a shard, when a commit has found it failing. Not by the commit itself: commits hold the definitions
--            (shared) and would wait for each other.
-- Locks      the definitions (exclusive).
-- Returns    {name, number, ended, failed}; null when it has ended otherwise, or is no longer failing.
create or replace function v1.fail_promotion(p_tenant_id uuid, p_workflow_id uuid, p_change uuid, p_at double precision)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_failing record;
  v_rule jsonb;
begin
  perform pg_advisory_xact_lock(v1.definitions_lock(p_tenant_id));
  select rollback_when into v_rule
    from v1.promotion where workflow_id = p_workflow_id and tenant_id = p_tenant_id;
  if not found then return null; end if;
  select * into v_failing from v1.failing_promotions(array[p_workflow_id], v1.moment(p_at));
  if not found then return null; end if;
  perform v1.forget_promotion(p_workflow_id);
  update v1.tenant set definitions_version = definitions_version + 1 where id = p_tenant_id;
  insert into v1.workflow_change (id, workflow_id, kind, version_id, is_active, details)
    values (p_change, p_workflow_id, 'promotion_failed', v_failing.version_id, false,
            jsonb_build_object('ended', v_failing.ended, 'failed', v_failing.failed, 'rollbackWhen', v_rule));
  return (select jsonb_build_object('name', w.name, 'number', v.number, 'ended', v_failing.ended,
                                    'failed', v_failing.failed)
            from v1.workflow w join v1.workflow_version v on v.id = v_failing.version_id
            where w.id = p_workflow_id);
end $$;
