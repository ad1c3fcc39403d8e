-- What has ended is counted in slices of the window that is looked at, so that it moves on by one of them.
create or replace function v1.slices_of_window()
returns integer language sql immutable parallel safe as $$ select 20 $$;
