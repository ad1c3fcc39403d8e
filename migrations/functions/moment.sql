-- A moment from milliseconds since 1970, as every request carries it.
create or replace function v1.moment(p_ms double precision)
returns timestamptz language sql immutable strict parallel safe as $$
  select to_timestamp(p_ms / 1000)
$$;
