-- The slice of a promotion's window in which something ends: it is counted there.
-- Called by  count_ended, failing_promotions.
create or replace function v1.slice_of(p_at timestamptz, p_rollback_when jsonb)
returns bigint language sql immutable strict parallel safe as $$
  select floor(v1.milliseconds(p_at) / ((p_rollback_when->>'windowMs')::bigint / v1.slices_of_window()))::bigint
$$;
