-- Stores schedules, all or none; one whose idempotency key is known is the one that had it first.
--
-- Called by  the edge Worker, which has checked them and knows their first ticks.
-- Locks      the tenant's row: names and numbers are as they were counted; idempotency keys in order.
-- p_schedules [PutScheduleRow] of database/schedule-rows.ts
-- Returns    {schedules: [{id, created}]} in their order, or why nothing was stored: {unknownWorkflows:
--            [names]}, {taken: [names that other schedules of their workflow have]}, {tooMany: true}
create or replace function v1.put_schedules(
  p_tenant_id uuid, p_at timestamptz, p_schedules jsonb, p_most_crons integer)
returns jsonb language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_unknown jsonb;
  v_taken jsonb;
  v_first jsonb;
begin
  perform 1 from v1.tenant where id = p_tenant_id for no key update;
  select jsonb_agg(distinct x.w) into v_unknown
    from jsonb_to_recordset(p_schedules) as x(w text)
    where not exists (select from v1.workflow w where w.tenant_id = p_tenant_id and w.name = x.w);
  if v_unknown is not null then return jsonb_build_object('unknownWorkflows', v_unknown); end if;

  with asked as (
    select x.w, x.n, count(*) as times
      from jsonb_to_recordset(p_schedules) as x(w text, n text, k text)
      where x.n is not null
        and not exists (select from v1.idempotency i where i.tenant_id = p_tenant_id and i.kind = 'schedule'
                                                           and i.key = x.k and i.expires_at > p_at)
      group by x.w, x.n
  )
  select jsonb_agg(a.n) into v_taken
    from asked a join v1.workflow w on w.tenant_id = p_tenant_id and w.name = a.w
    where a.times > 1
       or exists (select from v1.schedule s where s.workflow_id = w.id and s.name = a.n and not s.is_declared);
  if v_taken is not null then return jsonb_build_object('taken', v_taken); end if;

  if p_schedules @? '$[*].c'
     and (select count(*) from v1.schedule where tenant_id = p_tenant_id and cron is not null)
         + (select count(*) from jsonb_to_recordset(p_schedules) as x(c text) where x.c is not null) > p_most_crons then
    return '{"tooMany": true}';
  end if;

  v_first := v1.claim_keys(p_tenant_id, 'schedule', p_at, (
    select jsonb_agg(jsonb_build_object('id', x.id, 'k', x.k))
      from jsonb_to_recordset(p_schedules) as x(id uuid, k text) where x.k is not null));
  insert into v1.schedule (id, tenant_id, workflow_id, name, cron, timezone, at, input, metadata, priority, overlap,
                           catch_up, catch_up_limit, jitter_ms, is_declared, is_enabled, seen_until, next_tick, due_at)
    select x.id, p_tenant_id, w.id, x.n, x.c, x.z, v1.moment(x.a), coalesce(x.i, 'null'), x.m, x.pr, x.o, x.cu, x.cl,
           x.j, false, x.e, v1.moment(x.u), v1.moment(x.nt), v1.moment(x.d)
      from jsonb_to_recordset(p_schedules) as x(id uuid, w text, n text, c text, z text, a double precision, i jsonb,
             m jsonb, pr smallint, o v1.overlap, cu v1.catch_up, cl smallint, j integer, e boolean,
             u double precision, nt double precision, d double precision)
      join v1.workflow w on w.tenant_id = p_tenant_id and w.name = x.w
      where not v_first ? x.id::text;
  return jsonb_build_object('schedules', (
    select jsonb_agg(jsonb_build_object('id', coalesce(v_first->>(x.s->>'id'), x.s->>'id'),
                                        'created', not v_first ? (x.s->>'id')) order by x.position)
      from jsonb_array_elements(p_schedules) with ordinality as x(s, position)));
end $$;
