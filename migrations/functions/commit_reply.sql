-- The reply of a commit as one object: what is told, and the ready tasks that were given and taken.
create or replace function v1.commit_reply(p_told jsonb, p_given json, p_taken json default null)
returns json language sql immutable as $$
  select coalesce(json_object_agg(e.key, e.value), '{}') from (
    select key, value::json from jsonb_each(p_told)
    union all
    select 'ready', coalesce(p_taken, p_given) where p_given is null or p_taken is null
    union all
    select 'ready', (select json_agg(task) from (
             select json_array_elements(p_given) union all select json_array_elements(p_taken)) as both_of(task))
      where p_given is not null and p_taken is not null
  ) e(key, value) where e.value is not null
$$;
