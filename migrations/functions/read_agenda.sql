-- The soonest timers of a shard. Those of runs that are held have no moment, and are left out.
--
-- Called by  commit and recover_shard.
-- Returns    [{id, k: kind, d: when due (ms)}]
create or replace function v1.read_agenda(p_tenant_id uuid, p_shard smallint, p_limit integer)
returns jsonb language plpgsql as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('id', id, 'k', kind, 'd', v1.milliseconds(due_at))), '[]')
      from (select id, kind, due_at from v1.timer
              where tenant_id = p_tenant_id and shard = p_shard and due_at < 'infinity'
              order by due_at limit p_limit) soonest);
end $$;
