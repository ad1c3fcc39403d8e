-- The runs that a child's run belongs to: its parent, that one's parent, and so on up to one that was
-- started detached or by no other; the nearest hundred.
--
-- Called by  hand_out, of children only: none of them may need a permit that one of those holds.
create or replace function v1.ancestors(p_parent_id uuid, p_parent_key text)
returns uuid[] language plpgsql stable as $$
declare
  v_ancestors uuid[] := '{}';
  v_parent uuid := p_parent_id;
  v_key text := p_parent_key;
  v_run uuid;
begin
  while v_parent is not null and cardinality(v_ancestors) < 100 loop
    exit when not exists (
      select from v1.child_run where parent_id = v_parent and key = v_key and not is_detached);
    v_run := v1.run_id(v_parent);
    v_ancestors := v_ancestors || v_run;
    select parent_id, parent_key into v_parent, v_key from v1.workflow_run where id = v_run;
  end loop;
  return v_ancestors;
end $$;
