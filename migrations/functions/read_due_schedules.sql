-- The schedules of a tenant that are due, the longest first, as many as fit; and when the next is.
--
-- Called by  the tenant's clock.
-- p_bytes    of their inputs; the schedule that goes beyond is the last
-- Returns    DueReply in database/schedule-rows.ts
create or replace function v1.read_due_schedules(
  p_tenant_id uuid, p_at timestamptz, p_limit integer, p_bytes bigint)
returns jsonb language sql stable security definer set search_path = pg_catalog, pg_temp set jit = off as $$
  with due as (
    select s.*, sum(pg_column_size(s.input)) over (order by s.due_at, s.id rows unbounded preceding)
                - pg_column_size(s.input) as bytes_before
      from (select * from v1.schedule where tenant_id = p_tenant_id and due_at <= p_at
              order by due_at limit p_limit) s
  )
  select jsonb_build_object(
    'next', (select v1.milliseconds(min(due_at)) from v1.schedule where tenant_id = p_tenant_id and due_at > p_at),
    'due', coalesce((
      select jsonb_agg(jsonb_build_object(
          'id', s.id, 'revision', s.revision, 'workflow', w.name, 'paused', w.pause_mode, 'cron', s.cron,
          'timezone', s.timezone, 'at', v1.milliseconds(s.at), 'seenUntil', v1.milliseconds(s.seen_until),
          'input', s.input, 'metadata', s.metadata, 'priority', s.priority, 'overlap', s.overlap,
          'catchUp', s.catch_up, 'catchUpLimit', s.catch_up_limit, 'jitterMs', s.jitter_ms,
          'lastRun', s.last_run_id, 'lastShard', r.shard, 'isPreviousUnfinished', coalesce(r.state in ('queued', 'running'), false),
          'bytes', octet_length(s.input::text)) order by s.due_at, s.id)
        from due s
        cross join lateral (select name, pause_mode from v1.workflow where id = s.workflow_id limit 1) w
        left join lateral (select state, shard from v1.workflow_run where id = s.last_run_id limit 1) r on true
        where s.bytes_before < p_bytes), '[]'))
$$;
