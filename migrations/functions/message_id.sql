-- A new UUIDv7: messages are listed in the order in which they were sent.
create or replace function v1.message_id()
returns uuid language sql volatile parallel safe as $$
  select (substr(v1.first_id_at(clock_timestamp())::text, 1, 14) || '7'
          || substr(gen_random_uuid()::text, 16))::uuid
$$;
