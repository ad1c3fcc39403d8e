-- What a filter weighs in the memory of an isolate.
create or replace function v1.filter_bytes(p_expression text, p_payload jsonb)
returns bigint language sql immutable parallel safe as $$
  select (octet_length(p_expression) + octet_length(p_payload::text))::bigint
$$;
