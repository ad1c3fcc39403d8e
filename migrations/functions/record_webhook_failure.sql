-- Writes down that a delivery was refused. Keeps the last ones, and takes no more of them a minute than it
-- keeps: who floods a webhook can't have Postgres write without end.
--
-- Called by  the edge Worker, for a webhook that is not there as well, so that both take as long.
-- Locks      the webhook's failures: advisory, only where one is written.
-- p_most     how many are kept, and taken a minute
create or replace function v1.record_webhook_failure(
  p_tenant_id uuid, p_name text, p_code text, p_detail text, p_most integer)
returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  -- Nothing depends on it: a commit that waits for the disk would tell a sender that there is a webhook.
  perform set_config('synchronous_commit', 'off', true);
  -- A first look without the lock, so that a flood doesn't queue up there.
  if v1.has_recent_failures(p_tenant_id, p_name, p_most)
     or not exists (select from v1.webhook where tenant_id = p_tenant_id and name = p_name) then
    return;
  end if;
  perform pg_advisory_xact_lock(v1.webhook_lock(p_tenant_id, p_name));
  if v1.has_recent_failures(p_tenant_id, p_name, p_most) then return; end if;
  insert into v1.webhook_failure (tenant_id, webhook, code, detail)
    select tenant_id, name, p_code, p_detail from v1.webhook
      where tenant_id = p_tenant_id and name = p_name
      for key share; -- one that is being deleted is gone, and fails nothing
  delete from v1.webhook_failure
    where tenant_id = p_tenant_id and webhook = p_name and id <= (
      select id from v1.webhook_failure where tenant_id = p_tenant_id and webhook = p_name
        order by id desc offset p_most limit 1);
end $$;
