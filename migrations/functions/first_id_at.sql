-- The smallest UUIDv7 of a moment: where a partition begins.
create or replace function v1.first_id_at(p_at timestamptz)
returns uuid language sql immutable strict parallel safe as $$
  select (lpad(to_hex(floor(extract(epoch from p_at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;
