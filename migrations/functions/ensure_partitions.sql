-- Makes the monthly partitions of every partitioned table, from yesterday's month to that of five
-- weeks ahead. Months, because each further partition slows every commit (docs/decisions/0003).
--
-- Called by  the migrator, and the edge Worker's clock once a minute.
-- Returns    how many partitions it made: almost always 0.
create or replace function v1.ensure_partitions(p_now timestamptz default now())
returns integer language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_table text;
  v_month timestamp;
  v_name text;
  v_made integer := 0;
begin
  foreach v_table in array
    array['event', 'filter_failure', 'workflow_run', 'task', 'task_attempt', 'task_output', 'task_wait', 'child_run',
          'log_line']
  loop
    v_month := date_trunc('month', (p_now - interval '1 day') at time zone 'utc');
    while v_month <= (p_now + interval '35 days') at time zone 'utc' loop
      v_name := v_table || to_char(v_month, '_YYYY_MM');
      if to_regclass('v1.' || v_name) is null then
        -- Two callers at once: the second waits here, then finds it made.
        perform pg_advisory_xact_lock(hashtextextended('skein/partitions', 0));
        execute format(
          'create table if not exists v1.%I partition of v1.%I for values from (%L) to (%L)%s',
          v_name, v_table,
          v1.first_id_at(v_month at time zone 'utc'),
          v1.first_id_at((v_month + interval '1 month') at time zone 'utc'),
          -- Room on the page for the versions of a row that is updated in place.
          case when v_table in ('workflow_run', 'task') then ' with (fillfactor = 70)' else '' end);
        v_made := v_made + 1;
      end if;
      v_month := v_month + interval '1 month';
    end loop;
  end loop;
  return v_made;
end $$;
