-- The timers that these tasks and runs have at a shard.
--
-- Called by  commit, of what has been given a timer, now or by an earlier sending of the same request.
-- Returns    as read_agenda.
create or replace function v1.read_timers(p_tenant_id uuid, p_shard smallint, p_ids uuid[])
returns jsonb language plpgsql as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('id', t.id, 'k', t.kind, 'd', v1.milliseconds(t.due_at))), '[]')
      from v1.timer t
      where t.id = any (p_ids) and isfinite(t.due_at)
        and t.tenant_id is not distinct from p_tenant_id and t.shard is not distinct from p_shard);
end $$;
