-- The worker of a run's last finished task; null when none has finished.
create or replace function v1.last_worker(p_run_id uuid, p_version_id uuid)
returns text language sql stable as $$
  select t.worker
    from v1.dag d
    join v1.task t on t.id = v1.task_id(p_run_id, d.step) and t.worker is not null and t.finished_at is not null
    where d.version_id = p_version_id
    order by t.finished_at desc, t.id desc limit 1
$$;
