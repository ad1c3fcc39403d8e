-- Drops a month of history that nobody may read any more: one table's partition a call, runs first, so that no
-- lock is held for long. It asks for nothing that a caller could be wrong about.
--
-- Called by  the edge Worker's clock, once a minute. It looks for a month once an hour; once there is one, the
--            calls that follow drop the rest of it.
-- Locks      retention; then the one table, exclusively, waiting a tenth of a second at most, for commits wait
--            behind it. Who does not get it tries again with the next call.
-- Returns    the partition that is gone; null: none
create or replace function v1.drop_history()
returns text language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
declare
  -- The months that ensure_partitions makes are never dropped.
  v_open timestamp := date_trunc('month', (now() - interval '1 day') at time zone 'utc');
  v_partition text;
  v_needed boolean;
  v_last timestamp;
  v_found record;
begin
  if not pg_try_advisory_xact_lock(v1.retention_lock()) then return null; end if;
  if (select looked_at > now() - interval '1 hour' from v1.retention_look) then return null; end if;
  for v_found in
    select c.relname, to_timestamp(right(c.relname, 7), 'YYYY_MM')::timestamp as month
      from unnest(array['workflow_run', 'task', 'task_attempt', 'task_output', 'task_wait', 'child_run', 'log_line',
                        'event', 'filter_failure']) with ordinality as t(name, position)
      join pg_inherits i on i.inhparent = ('v1.' || t.name)::regclass
      join pg_class c on c.oid = i.inhrelid
      where c.relname ~ ('^' || t.name || '_\d{4}_\d\d$')
      order by month, t.position
  loop
    exit when v_found.month >= v_open;
    if v_found.month is distinct from v_last then
      v_last := v_found.month;
      v_needed := v1.is_month_needed(v1.first_id_at(v_last at time zone 'utc'),
                                     v1.first_id_at((v_last + interval '1 month') at time zone 'utc'));
    end if;
    if v_needed then continue; end if;
    v_partition := v_found.relname;
    exit;
  end loop;
  if v_partition is null then
    update v1.retention_look set looked_at = now();
    return null;
  end if;
  execute format('drop table v1.%I', v_partition);
  return v_partition;
exception when lock_not_available then
  return null;
end $$;
