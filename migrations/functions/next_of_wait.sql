-- The next moment that a wait is for: the end of a sleep that has not been met, or of all of it.
--
-- p_wait     WaitRow in database/definition-rows.ts
-- p_met      its conditions that have been met, as bits
create or replace function v1.next_of_wait(p_wait jsonb, p_began_at timestamptz, p_times_out_at timestamptz, p_met integer)
returns timestamptz language sql immutable as $$
  select least(p_times_out_at, min(p_began_at + c."sleepMs" * interval '1 millisecond'))
    from jsonb_to_recordset(p_wait->'conditions') as c(n integer, "sleepMs" double precision)
    where p_met & (1 << c.n) = 0
$$;
