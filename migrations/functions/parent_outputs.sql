-- The outputs of a step's parents in a run, by name: what its conditions call `parents`.
--
-- Called by  begin_waits, read_matches and read_past_events.
create or replace function v1.parent_outputs(p_run_id uuid, p_version_id uuid, p_step integer)
returns jsonb language sql stable as $$
  select coalesce(jsonb_object_agg(parent.name, o.output), '{}')
    from v1.dag d
    cross join unnest(d.parents) p(step)
    join v1.dag parent on parent.version_id = d.version_id and parent.step = p.step
    join v1.task_output o on o.task_id = v1.task_id(p_run_id, p.step)
    where d.version_id = p_version_id and d.step = p_step
$$;
