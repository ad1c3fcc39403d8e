-- The id of the run that a task belongs to.
create or replace function v1.run_id(p_task_id uuid)
returns uuid language sql immutable strict parallel safe as $$
  select (left(p_task_id::text, 32) || '0000')::uuid
$$;
