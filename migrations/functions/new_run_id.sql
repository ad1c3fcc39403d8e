-- A new run's id, as newRunId of protocol/ids.ts makes them: a UUIDv7 that ends in four zero digits.
create or replace function v1.new_run_id(p_at timestamptz)
returns uuid language sql volatile as $$
  select (substr(first, 1, 14) || '7' || substr(random, 16, 17) || '0000')::uuid
    from (select v1.first_id_at(p_at)::text as first, gen_random_uuid()::text as random) x
$$;
