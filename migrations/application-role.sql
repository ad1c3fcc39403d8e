-- What the application may do: call the functions that keep the rules, read what the API shows, and
-- make tenants and tokens. It can write to no table of history, by no other way than those functions;
-- so what has finished is as it was, whatever the application does.
--
-- Applied by the migrator, as the owner of everything, when this or a function has changed. The login
-- that the application uses is a member of this role (docs/operating.md).

revoke all on all tables in schema v1 from skein_application;
revoke execute on all functions in schema v1 from public, skein_application;
grant usage on schema v1 to skein_application;

-- They run as the owner (security definer), on a path of their own; all other functions are theirs.
grant execute on function
  v1.commit(jsonb),
  v1.recover_shard(jsonb),
  v1.register_workflow(jsonb),
  v1.put_limit(uuid, text, jsonb, integer),
  v1.delete_limit(uuid, text),
  v1.limit_users(uuid, text),
  v1.put_filters(uuid, jsonb, jsonb),
  v1.change_filter(uuid, uuid, jsonb, bigint),
  v1.delete_filter(uuid, uuid),
  v1.put_notification(uuid, text, jsonb, integer),
  v1.delete_notification(uuid, text),
  v1.read_notification(uuid, text),
  v1.end_notification(uuid, text),
  v1.put_webhook(uuid, text, jsonb, text[], integer),
  v1.delete_webhook(uuid, text),
  v1.read_webhook(uuid, text),
  v1.record_webhook_failure(uuid, text, text, text, integer),
  v1.put_schedules(uuid, timestamptz, jsonb, integer),
  v1.change_schedule(uuid, uuid, bigint, jsonb),
  v1.delete_schedules(uuid, uuid[]),
  v1.read_due_schedules(uuid, timestamptz, integer, bigint),
  v1.move_schedules(uuid, timestamptz, bigint, jsonb),
  v1.overdue_clocks(integer, bigint),
  v1.forget_ended_schedules(timestamptz),
  v1.pause_workflow(uuid, text, v1.pause_mode, uuid, text),
  v1.resume_workflow(uuid, text, uuid, text),
  v1.read_version(uuid, uuid),
  v1.read_active_version(uuid, text),
  v1.activate_version(jsonb),
  v1.promote_version(jsonb),
  v1.end_promotion(jsonb),
  v1.fail_promotion(uuid, uuid, uuid, double precision),
  v1.read_definitions(uuid, bigint),
  v1.read_versions(uuid, uuid[]),
  v1.busy_shards(integer, bigint),
  v1.read_shards(uuid),
  v1.open_shards(uuid, integer),
  v1.set_shards(uuid, integer),
  v1.close_shard(uuid, smallint, bigint, double precision),
  v1.hold_shard(uuid, smallint, bigint, double precision),
  v1.claim_key(uuid, text, text, uuid, timestamptz),
  v1.accept_events(uuid, timestamptz, jsonb, text, integer),
  v1.read_queue(text, integer, integer, boolean),
  v1.show_queue(text, uuid),
  v1.settle_queue(text, bigint[], jsonb),
  v1.open_messages(jsonb, bigint),
  v1.bury_messages(jsonb),
  v1.resend_messages(uuid, uuid[], text),
  v1.delete_messages(uuid, uuid[]),
  v1.waiting_messages(text),
  v1.task_id(uuid, integer),
  v1.unfinished_runs(uuid),
  v1.ensure_partitions(timestamptz),
  v1.forget_expired_keys(timestamptz),
  v1.forget_deleted_filters(timestamptz),
  v1.put_retention(uuid, integer),
  v1.drop_history(),
  v1.first_id_at(timestamptz),
  v1.put_import(uuid, jsonb, text, jsonb),
  v1.delete_import(uuid, uuid)
  to skein_application;

grant select on
  v1.tenant, v1.api_token, v1.workflow, v1.workflow_version, v1.workflow_change, v1.promotion, v1.dag, v1.event, v1.workflow_run, v1.task,
  v1.task_attempt, v1.task_output, v1.task_wait, v1.child_run, v1.timer, v1.log_line,
  v1."limit", v1.queue_item, v1.message, v1.filter, v1.filter_failure, v1.webhook_failure,
  v1.schedule,
  v1.imported_run
  to skein_application;
-- All of it but the secrets, which read_webhook alone tells.
grant select (tenant_id, name, definition, secret_count, created_at, updated_at) on v1.webhook
  to skein_application;
-- Not its secrets.
grant select (tenant_id, name, url, states, workflows, gone_at, created_at, updated_at) on v1.notification
  to skein_application;
grant insert (id, name, location_hint, jurisdiction) on v1.tenant to skein_application;
grant insert (id, tenant_id, name, prefix, hash), update (revoked_at) on v1.api_token to skein_application;
