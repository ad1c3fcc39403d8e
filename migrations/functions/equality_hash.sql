-- What an event and a run that waits for it must have in common, as a number: the place in the event's
-- data and the value there. Where a condition needs no equality the place is empty, and the number the
-- same for all. Null when there is no value, which equals nothing.
--
-- Called by  publish_events for the event, start_runs for the run. Different values may have the same
--            hash; equal ones never differ, because all JSON is written by JavaScript and put in order
--            by jsonb.
create or replace function v1.equality_hash(p_event_path text[], p_value jsonb)
returns bigint language sql immutable parallel safe as $$
  select hashtextextended(case when p_event_path = '{}' then '' else p_event_path::text || p_value::text end, 0)
$$;
