-- Ends a workflow's promotion, with what has been counted for it.
--
-- Called by  set_active_version, end_promotion, fail_promotion, which raise the definitions' number.
-- Returns    the version that was promoted; null when none was.
create or replace function v1.forget_promotion(p_workflow_id uuid)
returns uuid language plpgsql as $$
declare
  v_version uuid;
begin
  delete from v1.promotion where workflow_id = p_workflow_id returning version_id into v_version;
  delete from v1.promotion_count where version_id = v_version;
  return v_version;
end $$;
