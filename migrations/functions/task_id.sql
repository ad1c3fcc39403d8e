-- The id of a run's task: the run's id with the step's number + 1 in its last four digits.
create or replace function v1.task_id(p_run_id uuid, p_step integer)
returns uuid language sql immutable strict parallel safe as $$
  select (left(p_run_id::text, 32) || lpad(to_hex(p_step + 1), 4, '0'))::uuid
$$;
