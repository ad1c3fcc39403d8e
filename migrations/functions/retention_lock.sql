-- The advisory lock under which periods change and months are dropped: one at a time.
create or replace function v1.retention_lock()
returns bigint language sql immutable parallel safe as $$
  select hashtextextended('skein/retention', 0)
$$;
