-- Milliseconds since 1970 of a moment, as every reply carries it: not before the moment itself.
create or replace function v1.milliseconds(p_at timestamptz)
returns bigint language sql immutable strict parallel safe as $$
  select ceil(extract(epoch from p_at) * 1000)::bigint
$$;
