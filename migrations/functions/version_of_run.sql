-- The version that a new run is bound to: by a hash of its key, so that all runs of a key are on one side, and
-- stay there while the share rises. Edge Workers work out the same (workers/definitions/promotion.ts).
--
-- Called by  spawn_runs.
-- p_else     the key of a run that has none at the promotion's path.
create or replace function v1.version_of_run(p_active uuid, p_promoted v1.promotion, p_run jsonb, p_else text)
returns uuid language sql immutable parallel safe as $$
  select case when p_promoted.version_id is null then p_active
              when p_promoted.share > ('x' || encode(substring(sha256(convert_to(
                     p_promoted.version_id::text || '/' || coalesce(case jsonb_typeof(p_run #> p_promoted.key_path)
                       when 'string' then p_run #>> p_promoted.key_path
                       when 'boolean' then p_run #>> p_promoted.key_path
                       when 'number' then substring(p_run #>> p_promoted.key_path from '^-?\d{1,15}$') end, p_else),
                     'UTF8')) for 4), 'hex'))::bit(32)::bigint % 10000 then p_promoted.version_id
              else p_active end
$$;
